package send

import (
	"net"
	"syscall"
	"testing"
)

func TestOffline_OnlyWhatIsAboutTheWayThere(t *testing.T) {
	for _, c := range []struct {
		err  error
		host string
		ph   phases
		want bool
	}{
		{&net.OpError{Err: syscall.ENETUNREACH}, "example.org", phases{}, true},
		{syscall.EHOSTUNREACH, "example.org", phases{}, true},
		{&net.DNSError{IsTemporary: true}, "example.org", phases{}, true},
		{&net.DNSError{IsNotFound: true}, "example.org", phases{}, false},
		{errTimeout, "example.org", phases{}, true},
		{errTimeout, "example.org", phases{remote: "192.0.2.1:80"}, false},
		{syscall.ECONNREFUSED, "example.org", phases{}, false},
		{syscall.ENETUNREACH, "localhost", phases{}, false},
		{syscall.ENETUNREACH, "::1", phases{}, false},
	} {
		if got := offline(c.err, c.host, c.ph); got != c.want {
			t.Errorf("%v, %s: %v", c.err, c.host, got)
		}
	}
}
