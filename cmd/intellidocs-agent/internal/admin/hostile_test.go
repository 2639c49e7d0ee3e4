package admin

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Requests as nobody's client sends them, to a listener that asks for the token. Each is
// answered, or cut off (0), and the next caller finds the agent as it was.
func TestHostile_RequestsAreAnsweredRight(t *testing.T) {
	s := serve(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.server.Serve(l, Access{Loopback: true, Host: l.Addr().String(), Token: asked})
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.server.Close(ctx)
	})
	const host, auth = "Host: localhost\r\n", "Authorization: Bearer " + token + "\r\n"
	post := func(headers, body string) string {
		return "POST /api/v1/replay HTTP/1.1\r\n" + host + headers + "\r\n" + body
	}
	get := func(path string) string { return "GET " + path + " HTTP/1.1\r\n" + host + auth + "\r\n" }
	for name, c := range map[string]struct {
		request string
		want    int
	}{
		"no host":                              {"GET /api/v1/status HTTP/1.1\r\n" + auth + "\r\n", 400},
		"two hosts":                            {"GET /api/v1/status HTTP/1.1\r\n" + host + "Host: evil.example\r\n" + auth + "\r\n", 400},
		"a host in the request's line":         {"GET http://evil.example/api/v1/status HTTP/1.1\r\n" + host + auth + "\r\n", 421},
		"a host with a blank":                  {"GET /api/v1/status HTTP/1.1\r\nHost: local host\r\n" + auth + "\r\n", 400},
		"a host with a user":                   {"GET /api/v1/status HTTP/1.1\r\nHost: localhost@evil.example\r\n" + auth + "\r\n", 400},
		"HTTP/1.0 without a host":              {"GET /api/v1/status HTTP/1.0\r\n" + auth + "\r\n", 421},
		"HTTP/0.9":                             {"GET /api/v1/status\r\n\r\n", 400},
		"HTTP/3.0":                             {"GET / HTTP/3.0\r\n" + host + "\r\n", 505},
		"HTTP/2 at once":                       {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 421},
		"TLS":                                  {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		"bytes":                                {"\x00\xff\x00\xff\r\n\r\n", 400},
		"a proxy's request":                    {"CONNECT 169.254.169.254:80 HTTP/1.1\r\n" + host + "\r\n", 421},
		"TRACE":                                {"TRACE /api/v1/status HTTP/1.1\r\n" + host + auth + "\r\n", 405},
		"OPTIONS of all":                       {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 200},
		"DELETE":                               {"DELETE /api/v1/deliveries HTTP/1.1\r\n" + host + auth + "\r\n", 405},
		"a method of its own":                  {"EVIL /api/v1/replay HTTP/1.1\r\n" + host + auth + "\r\n", 405},
		"a method in small letters":            {"post /api/v1/replay HTTP/1.1\r\n" + host + auth + "\r\n", 405},
		"a change by GET":                      {get("/api/v1/webhooks/main/pause"), 405},
		"a method to be overridden":            {"GET /api/v1/replay HTTP/1.1\r\n" + host + auth + "X-HTTP-Method-Override: POST\r\n\r\n", 405},
		"two lengths":                          {post(auth+"Content-Length: 2\r\nContent-Length: 3\r\n", "{}"), 400},
		"a length below nothing":               {post(auth+"Content-Length: -1\r\n", ""), 400},
		"a length and chunks":                  {post(auth+"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
		"chunks of no size":                    {post(auth+"Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"), 400},
		"an encoding nobody knows":             {post(auth+"Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
		"a header folded":                      {post("Authorization: Bearer\r\n "+token+"\r\nContent-Length: 2\r\n", "{}"), 400},
		"a header without a name":              {post(": x\r\nContent-Length: 2\r\n", "{}"), 400},
		"a blank before the colon":             {post("Authorization : Bearer "+token+"\r\nContent-Length: 2\r\n", "{}"), 400},
		"a NUL in a header":                    {post(auth+"X-A: a\x00b\r\nContent-Length: 2\r\n", "{}"), 400},
		"64 KiB of headers":                    {post(auth+"X-A: "+strings.Repeat("a", 64<<10)+"\r\nContent-Length: 2\r\n", "{}"), 431},
		"10,000 headers":                       {post(auth+strings.Repeat("A: b\r\n", 10_000)+"Content-Length: 2\r\n", "{}"), 431},
		"a path of 64 KiB":                     {get("/" + strings.Repeat("a", 64<<10)), 431},
		"two tokens, the wrong one first":      {post("Authorization: Bearer wrong\r\n"+auth+"Content-Length: 2\r\n", "{}"), 401},
		"a path that climbs":                   {get("/static/../../../../etc/passwd"), 307},
		"a path that climbs, encoded":          {get("/static/%2e%2e%2f%2e%2e%2fetc%2fpasswd"), 404},
		"a path with a NUL":                    {get("/api/v1/deliveries/%00"), 404},
		"a path with backslashes":              {get(`/static/..\..\etc\passwd`), 404},
		"a query of semicolons, which is none": {get("/api/v1/deliveries?limit=1;limit=2"), 200},
		"a limit below nothing":                {get("/api/v1/deliveries?limit=-1"), 400},
		"a limit of no end":                    {get("/api/v1/deliveries?limit=99999999999999999999"), 400},
		"a cursor that is none":                {get("/api/v1/deliveries?before=../../x"), 404},
		"an id of 60 KiB":                      {get("/api/v1/deliveries/" + strings.Repeat("d", 14<<10)), 404},
		"a body that is no JSON":               {post(auth+"Content-Length: 3\r\n", "<a>"), 400},
		"a body nested without end":            {post(auth+"Content-Length: 200000\r\n", strings.Repeat("[", 200_000)), 400},
		"a body with members unknown":          {post(auth+"Content-Length: 10\r\n", `{"evil":1}`), 400},
		"two bodies in one":                    {post(auth+"Content-Length: 4\r\n", "{}{}"), 400},
		"a body larger than 1 MiB":             {post(auth+"Content-Length: 1048578\r\n", "\""+strings.Repeat("x", 1<<20)+"\""), 413},
		"a body in gzip":                       {post(auth+"Content-Encoding: gzip\r\nContent-Length: 4\r\n", "\x1f\x8b\x08\x00"), 400},
		"an upgrade":                           {"GET /api/v1/stream HTTP/1.1\r\n" + host + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 401},
	} {
		t.Run(name, func(t *testing.T) {
			if got := status(t, l.Addr().String(), c.request); got != c.want {
				t.Errorf("%d, not %d", got, c.want)
			}
		})
	}
	alive(t, l.Addr().String(), "/healthz")
}

// status sends a request as it is and returns the status of the answer, 0 where there is none.
func status(t *testing.T, addr, request string) int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, request) }()
	_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}
