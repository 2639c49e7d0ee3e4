package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const token = "0123456789abcdef"

func asked() (string, bool) { return token, false }
func open() (string, bool)  { return token, true }
func none() (string, bool)  { return "", false }

func TestGuard_LetsInWhoBelongs(t *testing.T) {
	free := Access{Loopback: true, Host: "127.0.0.1:9723", Token: open}
	loopback := Access{Loopback: true, Host: "127.0.0.1:9723", Token: asked}
	public := Access{Host: "0.0.0.0:9723", Token: asked}
	socket := Access{Socket: true}
	with := map[string]string{"Authorization": "Bearer " + token}
	type header = map[string]string
	for name, c := range map[string]struct {
		access Access
		method string
		path   string
		header header
		want   int
	}{
		"open: reads":                       {free, "GET", "/api/v1/status", nil, 200},
		"open: by name":                     {free, "GET", "/", header{"Host": "localhost:9723"}, 200},
		"open: by v6":                       {free, "GET", "/", header{"Host": "[::1]:9723"}, 200},
		"open: changes":                     {free, "POST", "/api/v1/replay", nil, 200},
		"open: an address typed in":         {free, "GET", "/api/v1/status", header{"Sec-Fetch-Site": "none"}, 200},
		"open: its own page":                {free, "POST", "/api/v1/replay", header{"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:9723"}, 200},
		"open: a rebound name":              {free, "GET", "/api/v1/status", header{"Host": "evil.example:9723"}, 421},
		"open: a rebound address":           {free, "GET", "/", header{"Host": "192.168.1.2:9723"}, 421},
		"open: a name that begins like it":  {free, "GET", "/", header{"Host": "127.0.0.1.evil.example"}, 421},
		"open: no host":                     {free, "GET", "/", header{"Host": ""}, 421},
		"open: another site's form":         {free, "POST", "/api/v1/replay", header{"Sec-Fetch-Site": "cross-site"}, 403},
		"open: another port's page":         {free, "POST", "/api/v1/replay", header{"Sec-Fetch-Site": "same-site"}, 403},
		"open: another origin":              {free, "POST", "/api/v1/replay", header{"Origin": "http://evil.example"}, 403},
		"open: an opaque origin":            {free, "POST", "/api/v1/replay", header{"Origin": "null"}, 403},
		"open: another site's page reads":   {free, "GET", "/api/v1/stream", header{"Sec-Fetch-Site": "cross-site"}, 403},
		"open: another origin reads":        {free, "GET", "/api/v1/deliveries", header{"Origin": "http://evil.example"}, 403},
		"open: another site's link":         {free, "GET", "/", header{"Sec-Fetch-Site": "cross-site"}, 200},
		"open, but others reach it":         {Access{Host: "0.0.0.0:9723", Token: open}, "GET", "/api/v1/status", nil, 401},
		"another user reads":                {loopback, "GET", "/api/v1/status", nil, 401},
		"another user reads by HEAD":        {loopback, "HEAD", "/api/v1/deliveries", nil, 401},
		"another user streams":              {loopback, "GET", "/api/v1/stream", nil, 401},
		"another user forges an event":      {loopback, "POST", "/api/v1/ingest", nil, 401},
		"another user pauses":               {loopback, "POST", "/api/v1/webhooks/x/pause", nil, 401},
		"another user, a path that is none": {loopback, "GET", "/api/", nil, 401},
		"with a wrong token":                {loopback, "POST", "/api/v1/replay", header{"Authorization": "Bearer 0123456789abcdeX"}, 401},
		"with the token in Basic":           {loopback, "POST", "/api/v1/replay", header{"Authorization": "Basic " + token}, 401},
		"with the token in the address":     {loopback, "GET", "/api/v1/status?token=" + token, nil, 401},
		"with the token in a cookie":        {loopback, "GET", "/api/v1/status", header{"Cookie": "token=" + token}, 401},
		"with the token reads":              {loopback, "GET", "/api/v1/status", with, 200},
		"with the token changes":            {loopback, "POST", "/api/v1/replay", with, 200},
		"the token does not open to sites":  {loopback, "POST", "/api/v1/replay", header{"Authorization": "Bearer " + token, "Origin": "http://evil.example"}, 403},
		"the scheme in small letters":       {loopback, "POST", "/api/v1/replay", header{"Authorization": "bearer " + token}, 200},
		"the empty page":                    {loopback, "GET", "/", nil, 200},
		"its files":                         {loopback, "GET", "/static/app.js", nil, 200},
		"health":                            {loopback, "GET", "/healthz", nil, 200},
		"readiness":                         {loopback, "GET", "/readyz", nil, 200},
		"metrics":                           {loopback, "GET", "/metrics", nil, 200},
		"others see no payload":             {public, "GET", "/api/v1/deliveries", nil, 401},
		"others with the token do":          {public, "GET", "/api/v1/deliveries", with, 200},
		"others see health":                 {public, "GET", "/healthz", header{"Host": "agent.example"}, 200},
		"others see metrics":                {public, "GET", "/metrics", nil, 200},
		"no token known":                    {Access{Loopback: true, Host: "127.0.0.1:9723", Token: none}, "GET", "/api/v1/deliveries", header{"Authorization": "Bearer "}, 401},
		"no token function":                 {Access{Loopback: true, Host: "127.0.0.1:9723"}, "GET", "/api/v1/deliveries", with, 401},
		"the socket needs nothing":          {socket, "POST", "/api/v1/replay", header{"Host": "agent"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			h := guard(c.access, newGate(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) }))
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
