package send

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

// What the environment exempts from its proxy is dialled straight, and judged; the proxy's
// own address is not; and no literal address is smuggled through the proxy. In a process of
// its own, since net/http reads the environment once.
func TestProxy_OnlyTheProxysOwnAddressIsExempt(t *testing.T) {
	const childEnv = "SEND_TEST_DIRECT_PORT"
	if port := os.Getenv(childEnv); port != "" {
		proxyChild(t, port)
		return
	}
	var mu sync.Mutex
	var asked []string
	proxy := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.URL.Host)
	})
	direct := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("this machine was reached") })
	_, port, _ := net.SplitHostPort(direct.Listener.Addr().String())
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy_OnlyTheProxysOwnAddressIsExempt$", "-test.v")
	cmd.Env = append(os.Environ(), childEnv+"="+port, "HTTP_PROXY="+proxy.URL, "http_proxy=", "NO_PROXY=direct.example.org", "no_proxy=")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Fatalf("%v\n%s", err, out)
	}
	if want := "proxied.example.org:" + port; len(asked) != 1 || asked[0] != want {
		t.Errorf("the proxy was asked for %q, want only %s", asked, want)
	}
}

func proxyChild(t *testing.T, port string) {
	ns := newNameServer(t, func(int, string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	policy := target.Policy{Schemes: []string{"http"}, Proxy: true}
	for host, want := range map[string]Class{
		"proxied.example.org": Delivered, "direct.example.org": Dead, "localhost": Dead, "127.0.0.1": Dead, "0x7f.1": Dead, "2130706433": Dead, "127。0。0。1": Dead, "169.254.169.254": Dead,
	} {
		e := endpoint(t, Config{URL: fmt.Sprintf("http://%s:%s/", host, port), Resolver: ns.resolver, Timeout: 5 * time.Second}, policy)
		if r := e.Send(t.Context(), sample()); r.Class != want {
			t.Errorf("%s: %+v", host, r)
		}
		if want == Dead {
			if addr, err := e.Probe(context.Background()); err == nil {
				t.Errorf("%s: the probe reached %s", host, addr)
			}
		}
	}
}
