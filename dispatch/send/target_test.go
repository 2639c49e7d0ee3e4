package send

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

// No spelling of this machine's addresses reaches a listener that is really there.
func TestTarget_NoSpellingOfThisMachineIsReached(t *testing.T) {
	var reached atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	all, err := net.Listen("tcp", ":0") // every address of the machine, IPv4 and IPv6
	if err != nil {
		t.Fatal(err)
	}
	everywhere := &http.Server{Handler: s.Config.Handler}
	go func() { _ = everywhere.Serve(all) }()
	t.Cleanup(func() { everywhere.Close() })
	port := fmt.Sprint(all.Addr().(*net.TCPAddr).Port)

	hosts := []string{
		"127.0.0.1", "127.1", "127.0.1", "0177.0.0.1", "0177.0.0.01", "0x7f.0.0.1", "0x7f.0x0.0x0.0x1", "0x7f000001", "2130706433", "017700000001", "127.0.0.1.", "127.127.127.127",
		"0", "0.0.0.0", "00", "0x0", "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]",
		"[64:ff9b::127.0.0.1]", "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]", "[::1%25lo]", "[fe80::1%25lo]", "localhost", "LOCALHOST", "localhost.", "ip6-localhost", "localhost.localdomain",
		"%31%32%37.0.0.1", "%6c%6f%63%61%6c%68%6f%73%74", "１２７.0.0.1", "127。0。0。1", "127．0．0．1", "①②⑦.⓪.⓪.①", "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "user@127.0.0.1", "8.8.8.8@127.0.0.1", "127.0.0.1:80@localhost", "8.8.8.8%40@127.0.0.1",
	}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if ip := a.(*net.IPNet).IP; ip.IsPrivate() || ip.IsLoopback() {
			hosts = append(hosts, strings.Split(net.JoinHostPort(ip.String(), ""), "]:")[0])
		}
	}
	policy := target.Policy{Schemes: []string{"http"}}
	for _, host := range hosts {
		host = strings.TrimSuffix(host, ":")
		if strings.HasPrefix(host, "[") && !strings.HasSuffix(host, "]") {
			host += "]"
		}
		e, err := New(Config{Webhook: "w", URL: "http://" + host + ":" + port + "/", Timeout: 2 * time.Second}, policy, quiet)
		if err != nil {
			continue // it is no URL, and never dialled
		}
		if r := e.Send(t.Context(), sample()); r.Class == Delivered || r.Status != 0 || r.Error == "" {
			t.Errorf("%s: %+v", host, r)
		}
		if addr, err := e.Probe(t.Context()); err == nil {
			t.Errorf("%s: the probe reached %s", host, addr)
		}
		e.Close()
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("the listener was reached %d times", n)
	}
	// The listener is there, and it is the policy that keeps from it.
	if r := endpoint(t, Config{URL: "http://127.0.0.1:" + port}, open()).Send(t.Context(), sample()); r.Class != Delivered {
		t.Errorf("%+v", r)
	}
}

// nameServer answers A questions by what answer says, over UDP on loopback.
type nameServer struct {
	resolver *net.Resolver
	asked    atomic.Int32
}

func newNameServer(t *testing.T, answer func(n int, name string) []netip.Addr) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ns := &nameServer{}
	ns.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			var q dnsmessage.Message
			if q.Unpack(buf[:n]) != nil || len(q.Questions) != 1 {
				continue
			}
			if out, err := ns.reply(q, answer); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	})
	t.Cleanup(func() { conn.Close(); wg.Wait() })
	return ns
}

func (ns *nameServer) reply(q dnsmessage.Message, answer func(n int, name string) []netip.Addr) ([]byte, error) {
	question := q.Questions[0]
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: q.ID, Response: true, Authoritative: true}, Questions: q.Questions}
	if question.Type == dnsmessage.TypeA {
		for _, a := range answer(int(ns.asked.Add(1)), question.Name.String()) {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET},
				Body:   &dnsmessage.AResource{A: a.As4()},
			})
		}
	}
	return m.Pack()
}

// 198.18.0.0/15 is for tests of this kind, and stands for the public address: the policy
// is told that it is one.
var publicNet = netip.MustParsePrefix("198.18.0.0/15")

func TestTarget_ANameThatIsPublicFirstAndPrivateNextIsRefused(t *testing.T) {
	var reached atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	port := s.Listener.Addr().(*net.TCPAddr).Port
	ns := newNameServer(t, func(n int, _ string) []netip.Addr {
		if n == 1 {
			return []netip.Addr{netip.MustParseAddr("198.18.0.1")}
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})
	url := fmt.Sprintf("http://rebind.example.org:%d/", port)
	e := endpoint(t, Config{URL: url, Resolver: ns.resolver, Timeout: 300 * time.Millisecond},
		target.Policy{Schemes: []string{"http"}, AllowedCIDRs: []netip.Prefix{publicNet}})
	// The first answer is allowed, and nobody is there.
	if r := e.Send(t.Context(), sample()); r.Class == Dead || r.Class == Delivered {
		t.Errorf("public: %+v", r)
	}
	for range 3 {
		if r := e.Send(t.Context(), sample()); r.Class != Dead || !strings.Contains(r.Error, "127.0.0.1 is not allowed: it is not a public address") {
			t.Errorf("private: %+v", r)
		}
	}
	if reached.Load() != 0 || ns.asked.Load() < 4 {
		t.Errorf("reached %d times, %d questions", reached.Load(), ns.asked.Load())
	}
	allowed := endpoint(t, Config{URL: url, Resolver: ns.resolver}, open())
	if r := allowed.Send(t.Context(), sample()); r.Class != Delivered {
		t.Errorf("with internal requests: %+v", r)
	}
}

func TestTarget_ANameWithAPublicAndAPrivateAddressReachesNoPrivateOne(t *testing.T) {
	var reached atomic.Int32
	s := serve(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	ns := newNameServer(t, func(int, string) []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("169.254.169.254")}
	})
	url := fmt.Sprintf("http://both.example.org:%d/", s.Listener.Addr().(*net.TCPAddr).Port)
	e := endpoint(t, Config{URL: url, Resolver: ns.resolver, Timeout: 500 * time.Millisecond},
		target.Policy{Schemes: []string{"http"}, AllowedCIDRs: []netip.Prefix{publicNet}})
	if r := e.Send(t.Context(), sample()); r.Class == Delivered {
		t.Errorf("%+v", r)
	}
	if reached.Load() != 0 {
		t.Error("the private address was reached")
	}
}

func TestTarget_MetadataByNameIsRefusedThoughInternalIsAllowed(t *testing.T) {
	ns := newNameServer(t, func(int, string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("169.254.169.254")} })
	e := endpoint(t, Config{URL: "http://metadata.example.org/", Resolver: ns.resolver}, open())
	if r := e.Send(t.Context(), sample()); r.Class != Dead || !strings.Contains(r.Error, "169.254.169.254 is not allowed: it hands out a cloud's credentials") {
		t.Errorf("%+v", r)
	}
}

func TestTarget_ANameThatIsNotThereIsSaid(t *testing.T) {
	ns := newNameServer(t, func(int, string) []netip.Addr { return nil })
	r := endpoint(t, Config{URL: "http://nowhere.example.org/", Resolver: ns.resolver}, open()).Send(t.Context(), sample())
	if r.Class != Retry || !strings.Contains(r.Error, "there is no host named nowhere.example.org") {
		t.Errorf("%+v", r)
	}
}

func TestTarget_AnAllowedAddressThatIsDownIsTriedAgainWhateverElseTheNameHas(t *testing.T) {
	down, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("http://both.example.org:%d/", down.Addr().(*net.TCPAddr).Port)
	down.Close()
	forbidden, allowed := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	policy := target.Policy{Schemes: []string{"http"}, AllowedCIDRs: []netip.Prefix{netip.PrefixFrom(allowed, 32)}}
	for _, addrs := range [][]netip.Addr{{forbidden, allowed}, {allowed, forbidden}} {
		ns := newNameServer(t, func(int, string) []netip.Addr { return addrs })
		r := endpoint(t, Config{URL: url, Resolver: ns.resolver}, policy).Send(t.Context(), sample())
		if r.Class != Retry || !r.Outage || !strings.Contains(r.Error, "refused the connection") {
			t.Errorf("%v: %+v", addrs, r)
		}
	}
}
