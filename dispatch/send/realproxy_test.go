package send

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A host's name of other letters than ASCII is resolved, asked of a proxy and looked for in
// certificates as IDNA has it, by deliveries and by check --connect alike.
func TestProbe_AHostOfOtherLettersThanASCII(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	ns := newNameServer(t, func(_ int, name string) []netip.Addr {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, strings.TrimSuffix(name, "."))
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})
	ca := newAuthority(t)
	for host, want := range map[string]string{
		"bücher.example": "xn--bcher-kva.example", "BÜCHER.Example": "xn--bcher-kva.example", "例え.example": "xn--r8jz45g.example", "xn--bcher-kva.example": "xn--bcher-kva.example", "Hooks.EXAMPLE": "hooks.example",
	} {
		plain := serve(t, func(http.ResponseWriter, *http.Request) {})
		secure := serveTLS(t, ca, nil, want)
		for _, s := range []*httptest.Server{plain, secure} {
			u, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			asked = nil
			mu.Unlock()
			e := endpoint(t, Config{URL: u.Scheme + "://" + host + ":" + u.Port() + "/", TLS: TLS{CAFile: ca.file}, Resolver: ns.resolver, Timeout: time.Minute}, open())
			if _, err := e.Probe(t.Context()); err != nil {
				t.Errorf("%s: the probe: %v", host, err)
			}
			if r := e.Send(t.Context(), sample()); r.Class != Delivered {
				t.Errorf("%s: %+v", host, r)
			}
			mu.Lock()
			if len(asked) == 0 || slices.ContainsFunc(asked, func(name string) bool { return !strings.EqualFold(name, want) }) {
				t.Errorf("%s: %q were resolved, want %s", host, asked, want)
			}
			mu.Unlock()
		}
	}
}

// proxyCase is what a process of its own tries through one proxy, whose environment names it.
type proxyCase struct {
	URLs   []string
	CAFile string
	Says   []string // none: delivered
	Hangs  bool     // some proxies say nothing to what they do not understand
}

// Squid and Tinyproxy as people run them, with a password, in the clear and behind TLS
// (stunnel): what is right is delivered through them, and a wrong password, a proxy that is
// dead, and one whose certificate is not known are named, by deliveries and by check --connect.
func TestProxy_RealOnes(t *testing.T) {
	const childEnv = "SEND_TEST_PROXY_CASE"
	if text := os.Getenv(childEnv); text != "" {
		tryProxy(t, text)
		return
	}
	address := ownAddress(t)
	ca := newAuthority(t)
	urls := []string{backend(t, address, nil), backend(t, address, ca)}
	stunnelFile, stunnelKey := ca.issue(t, time.Now().Add(time.Hour), "127.0.0.1")
	for _, program := range []string{"squid", "tinyproxy"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			plain := startProxy(t, program)
			secure := startStunnel(t, plain, stunnelFile, stunnelKey)
			dead := freePort(t)
			refused := func(proxy string) []string { return []string{"the proxy " + proxy, "accept the user and password"} }
			for name, c := range map[string]struct {
				proxy, ca string
				says      []string
			}{
				"right":          {"http://agent:hunter2@" + plain, ca.file, nil},
				"wrong password": {"http://agent:hunter3@" + plain, ca.file, refused(plain)},
				"no password":    {"http://" + plain, ca.file, refused(plain)},
				"TLS":            {"https://agent:hunter2@" + secure, ca.file, nil},
				"TLS, wrong":     {"https://agent:hunter3@" + secure, ca.file, refused(secure)},
				"TLS, not known": {"https://agent:hunter2@" + secure, newAuthority(t).file, []string{"the proxy " + secure + " cannot be reached: x509: certificate signed by unknown authority"}},
				"no TLS there":   {"https://agent:hunter2@" + plain, ca.file, []string{"the proxy " + plain}},
				"dead":           {"http://agent:hunter2@" + dead, ca.file, []string{"the proxy " + dead + " refused the connection"}},
			} {
				text, err := json.Marshal(proxyCase{urls, c.ca, c.says, name == "no TLS there"})
				if err != nil {
					t.Fatal(err)
				}
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProxy_RealOnes$", "-test.v")
				cmd.Env = append(os.Environ(), childEnv+"="+string(text), "HTTP_PROXY="+c.proxy, "HTTPS_PROXY="+c.proxy, "http_proxy=", "https_proxy=", "NO_PROXY=", "no_proxy=")
				if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
					t.Errorf("%s: %v\n%s", name, err, out)
				}
			}
		})
	}
}

func tryProxy(t *testing.T, text string) {
	var c proxyCase
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	policy := open()
	policy.Proxy = true
	timeout := time.Minute
	if c.Hangs {
		timeout = 2 * time.Second
	}
	for _, to := range c.URLs {
		e := endpoint(t, Config{URL: to, TLS: TLS{CAFile: c.CAFile}, Timeout: timeout}, policy)
		r := e.Send(t.Context(), sample())
		_, err := e.Probe(t.Context())
		if len(c.Says) == 0 && (r.Class != Delivered || err != nil) {
			t.Errorf("%s: %+v; the probe: %v", to, r, err)
		}
		for _, want := range c.Says {
			if r.Class == Delivered || !strings.Contains(r.Error, want) || err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q, the probe: %v; want %s", to, r.Error, err, want)
			}
		}
		if strings.Contains(r.Error, "hunter") || err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("the password is shown: %s, %v", r.Error, err)
		}
	}
}

// ownAddress is an address of this machine for which the environment's proxies are used: they
// never are for the loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			return n.IP.String()
		}
	}
	t.Skip("needs an address other than the loopback's")
	return ""
}

// backend is a receiver at an address, in the clear or by an authority's certificate.
func backend(t *testing.T, address string, ca *authority) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Listener.Close()
	s.Listener = l
	t.Cleanup(s.Close)
	if ca == nil {
		s.Start()
		return s.URL
	}
	cert, err := tls.LoadX509KeyPair(ca.issue(t, time.Now().Add(time.Hour), address))
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.StartTLS()
	return s.URL
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startProxy starts a proxy that asks for a password, and returns its address.
func startProxy(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		path = filepath.Join("/usr/sbin", program)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs %s", program)
	}
	addr := freePort(t)
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		_ = os.Chmod(d, 0o755) // squid gives up root
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	config, passwords := filepath.Join(dir, "config"), filepath.Join(dir, "passwords")
	text, args := "", []string(nil)
	switch program {
	case "squid":
		hash, err := exec.Command("openssl", "passwd", "-apr1", "hunter2").Output()
		if err != nil {
			t.Skipf("needs openssl: %v", err)
		}
		writeFile(t, passwords, "agent:"+string(hash))
		text = fmt.Sprintf("http_port 127.0.0.1:%s\npid_filename none\naccess_log none\ncache_log %s/log\ncoredump_dir %s\ncache deny all\nshutdown_lifetime 0 seconds\nnetdb_filename none\n"+
			"auth_param basic program /usr/lib/squid/basic_ncsa_auth %s\nauth_param basic children 1\nacl users proxy_auth REQUIRED\nhttp_access allow users\nhttp_access deny all\n", port, dir, dir, passwords)
		args = []string{"-N", "-f", config}
	case "tinyproxy":
		text = fmt.Sprintf("Port %s\nListen 127.0.0.1\nTimeout 60\nMaxClients 20\nAllow 127.0.0.1\nLogFile \"%s/log\"\nBasicAuth agent hunter2\n", port, dir)
		args = []string{"-d", "-c", config}
	}
	writeFile(t, config, text)
	startServer(t, addr, path, args...)
	return addr
}

// startStunnel takes TLS off in front of an address, and returns where.
func startStunnel(t *testing.T, to, certFile, keyFile string) string {
	t.Helper()
	path, err := exec.LookPath("stunnel")
	if err != nil {
		t.Skip("needs stunnel")
	}
	addr, config := freePort(t), filepath.Join(t.TempDir(), "config")
	writeFile(t, config, fmt.Sprintf("foreground = yes\npid =\n[proxy]\naccept = %s\nconnect = %s\ncert = %s\nkey = %s\n", addr, to, certFile, keyFile))
	startServer(t, addr, path, config)
	return addr
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// startServer runs a program until the test's end, and returns once it listens.
func startServer(t *testing.T, addr, program string, args ...string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(out.Name())
			t.Fatalf("%s does not listen: %v\n%s", program, err, text)
		}
	}
}
