package send

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// silent opens a port that answers no attempt to connect, as a host does that is off: its
// queue of connections is full.
func silent(t *testing.T, addr [4]byte, port int) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: addr, Port: port}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.DialTimeout("tcp", fmt.Sprintf("%s:%d", netip.AddrFrom4(addr), port), 200*time.Millisecond)
		if err != nil {
			return
		}
		t.Cleanup(func() { c.Close() })
	}
}

func TestSend_AnAddressThatIsSilentLeavesTimeForTheNext(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	port := s.Listener.Addr().(*net.TCPAddr).Port
	silent(t, [4]byte{127, 0, 0, 2}, port)
	ns := newNameServer(t, func(int, string) []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}
	})
	e := endpoint(t, Config{URL: fmt.Sprintf("http://two.example.org:%d/", port), Resolver: ns.resolver, Timeout: 6 * time.Second}, open())
	if r := e.Send(t.Context(), sample()); r.Class != Delivered || r.Remote != fmt.Sprintf("127.0.0.1:%d", port) {
		t.Errorf("%+v", r)
	}
}
