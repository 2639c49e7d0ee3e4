package send

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The environment's proxies are read once a process, so each case runs this test binary again.
func TestSend_TheEnvironmentsProxyIsUsedOnlyWhenAsked(t *testing.T) {
	const url = "http://hooks.intellidocs.invalid/aVeryLongSecretPath1"
	switch os.Getenv("SEND_TEST_PROXY") {
	case "environment":
		policy := open()
		policy.Proxy = true
		e := endpoint(t, Config{URL: url}, policy)
		if r := e.Send(t.Context(), sample()); r.Class != Delivered {
			t.Errorf("%+v", r)
		}
		if reached, err := e.Probe(t.Context()); err != nil || !strings.HasPrefix(reached, "the proxy 127.0.0.1:") {
			t.Errorf("%s, %v", reached, err)
		}
		return
	case "none":
		e := endpoint(t, Config{URL: url, Timeout: 2 * time.Second}, open())
		if r := e.Send(t.Context(), sample()); r.Class == Delivered || strings.Contains(r.Error, "SecretPath") {
			t.Errorf("%+v", r)
		}
		return
	}
	var got atomic.Int32
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.RequestURI == url {
			got.Add(1)
		}
	})
	for use, want := range map[string]int32{"environment": 1, "none": 0} {
		got.Store(0)
		c := exec.Command(os.Args[0], "-test.run=^TestSend_TheEnvironmentsProxy", "-test.v")
		c.Env = append(os.Environ(), "SEND_TEST_PROXY="+use, "HTTP_PROXY="+proxy.URL, "http_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
		out, err := c.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%s: %v\n%s", use, err, out)
		}
		if got.Load() != want {
			t.Errorf("%s: the proxy got %d requests, want %d", use, got.Load(), want)
		}
	}
}

// A proxy that is dead, or does not take the password, is named as what is wrong.
func TestSend_AProxyThatFailsIsNamed(t *testing.T) {
	if want := os.Getenv("SEND_TEST_PROXY_SAYS"); want != "" {
		policy := open()
		policy.Proxy = true
		for _, url := range []string{"http://hooks.intellidocs.invalid/x", "https://hooks.intellidocs.invalid/x"} {
			e := endpoint(t, Config{URL: url}, policy)
			r := e.Send(t.Context(), sample())
			_, err := e.Probe(t.Context())
			if r.Class != Retry || !strings.Contains(r.Error, want) || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %+v, %v", url, r, err)
			}
			if strings.Contains(r.Error, "hunter2") || err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the proxy's password is shown: %s, %v", r.Error, err)
			}
		}
		return
	}
	dead := httptest.NewServer(nil)
	dead.Close()
	picky := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) })
	for proxy, want := range map[string]string{
		dead.URL:  "the proxy " + strings.TrimPrefix(dead.URL, "http://") + " refused the connection",
		picky.URL: "does not accept the user and password (HTTP 407)",
	} {
		withUser := strings.Replace(proxy, "//", "//agent:hunter2@", 1)
		c := exec.Command(os.Args[0], "-test.run=^TestSend_AProxyThatFails", "-test.v")
		c.Env = append(os.Environ(), "SEND_TEST_PROXY_SAYS="+want, "HTTP_PROXY="+withUser, "HTTPS_PROXY="+withUser,
			"http_proxy="+withUser, "https_proxy="+withUser, "NO_PROXY=", "no_proxy=")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Errorf("%s: %v\n%s", want, err, out)
		}
	}
}
