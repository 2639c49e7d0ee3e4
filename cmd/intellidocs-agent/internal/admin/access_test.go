package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const token = "0123456789abcdef"

func TestGuard_LetsInWhoBelongs(t *testing.T) {
	loopback := Access{Loopback: true, Host: "127.0.0.1:9723"}
	loopbackToken := Access{Loopback: true, Host: "127.0.0.1:9723", Token: func() string { return token }}
	public := Access{Host: "0.0.0.0:9723", Token: func() string { return token }}
	socket := Access{Socket: true, Token: func() string { return token }}
	for name, c := range map[string]struct {
		access Access
		method string
		path   string
		header map[string]string
		want   int
	}{
		"loopback reads":                     {loopback, "GET", "/api/v1/status", nil, 200},
		"loopback by name":                   {loopback, "GET", "/", map[string]string{"Host": "localhost:9723"}, 200},
		"loopback by v6":                     {loopback, "GET", "/", map[string]string{"Host": "[::1]:9723"}, 200},
		"a rebound name":                     {loopback, "GET", "/api/v1/status", map[string]string{"Host": "evil.example:9723"}, 421},
		"a rebound address":                  {loopback, "GET", "/", map[string]string{"Host": "192.168.1.2:9723"}, 421},
		"no host":                            {loopback, "GET", "/", map[string]string{"Host": ""}, 421},
		"loopback changes":                   {loopback, "POST", "/api/v1/replay", nil, 200},
		"another site's form":                {loopback, "POST", "/api/v1/replay", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"another port's page":                {loopback, "POST", "/api/v1/replay", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		"another origin":                     {loopback, "POST", "/api/v1/replay", map[string]string{"Origin": "http://evil.example"}, 403},
		"an opaque origin":                   {loopback, "POST", "/api/v1/replay", map[string]string{"Origin": "null"}, 403},
		"another site's page reads":          {loopback, "GET", "/api/v1/stream", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		"another origin reads":               {loopback, "GET", "/api/v1/deliveries", map[string]string{"Origin": "http://evil.example"}, 403},
		"another site's link":                {loopback, "GET", "/", map[string]string{"Sec-Fetch-Site": "cross-site"}, 200},
		"an address typed in":                {loopback, "GET", "/api/v1/status", map[string]string{"Sec-Fetch-Site": "none"}, 200},
		"its own page":                       {loopback, "POST", "/api/v1/replay", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:9723"}, 200},
		"loopback with a token reads":        {loopbackToken, "GET", "/api/v1/status", nil, 200},
		"loopback with a token, without it":  {loopbackToken, "POST", "/api/v1/replay", nil, 401},
		"loopback with a token, a wrong one": {loopbackToken, "POST", "/api/v1/replay", map[string]string{"Authorization": "Bearer 0123456789abcdeX"}, 401},
		"loopback with a token, in Basic":    {loopbackToken, "POST", "/api/v1/replay", map[string]string{"Authorization": "Basic " + token}, 401},
		"loopback with a token, with it":     {loopbackToken, "POST", "/api/v1/replay", map[string]string{"Authorization": "Bearer " + token}, 200},
		"the scheme in small letters":        {loopbackToken, "POST", "/api/v1/replay", map[string]string{"Authorization": "bearer " + token}, 200},
		"others see no payload":              {public, "GET", "/api/v1/deliveries", nil, 401},
		"others with the token do":           {public, "GET", "/api/v1/deliveries", map[string]string{"Authorization": "Bearer " + token}, 200},
		"others see health":                  {public, "GET", "/healthz", map[string]string{"Host": "agent.example"}, 200},
		"others see metrics":                 {public, "GET", "/metrics", nil, 200},
		"others without any token set":       {Access{Host: "0.0.0.0:9723"}, "GET", "/api/v1/deliveries", map[string]string{"Authorization": "Bearer "}, 401},
		"a name that only begins like it":    {loopback, "GET", "/", map[string]string{"Host": "127.0.0.1.evil.example"}, 421},
		"the socket needs nothing":           {socket, "POST", "/api/v1/replay", map[string]string{"Host": "agent"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			h := guard(c.access, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
			r := httptest.NewRequest(c.method, "http://127.0.0.1:9723"+c.path, nil)
			for k, v := range c.header {
				if k == "Host" {
					r.Host = v
				} else {
					r.Header.Set(k, v)
				}
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.want)
			}
			if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
				t.Errorf("policy %q", csp)
			}
			if w.Code == 401 && w.Header().Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate")
			}
		})
	}
}

func TestIsLoopback(t *testing.T) {
	for listen, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "127.9.9.9:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "example.org:1": false,
	} {
		if got := IsLoopback(listen); got != want {
			t.Errorf("%s: %t", listen, got)
		}
	}
}
