package send

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

// phases are how far an attempt got.
type phases struct {
	dns, connect, tls, firstByte time.Duration
	dialled                      string // the address last tried
	remote                       string // the one connected to
	wrote                        bool
	reused                       bool // the connection is of an earlier exchange
	// down is why an address that may be dialled could not be reached, nil where there was none.
	down error
}

// tracer notes the phases. The transport may still call it after the exchange has ended.
type tracer struct {
	mu sync.Mutex
	p  phases
}

func (t *tracer) now() phases {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.p
}

func (t *tracer) note(f func(p *phases)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.p)
}

func (t *tracer) trace(at time.Time) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		ConnectStart: func(_, addr string) { t.note(func(p *phases) { p.dialled = addr }) },
		DNSDone:      func(httptrace.DNSDoneInfo) { t.note(func(p *phases) { p.dns = time.Since(at) }) },
		ConnectDone: func(_, addr string, err error) {
			var forbidden *target.Forbidden
			switch {
			case err == nil:
				t.note(func(p *phases) { p.remote, p.connect = addr, time.Since(at) })
			case !errors.As(err, &forbidden):
				t.note(func(p *phases) { p.down = err })
			}
		},
		GotConn: func(i httptrace.GotConnInfo) {
			t.note(func(p *phases) { p.remote, p.reused = i.Conn.RemoteAddr().String(), i.Reused })
		},
		TLSHandshakeDone: func(_ tls.ConnectionState, err error) {
			if err == nil { // it is also called when one is given up
				t.note(func(p *phases) { p.tls = time.Since(at) })
			}
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) { t.note(func(p *phases) { p.wrote = i.Err == nil }) },
		GotFirstResponseByte: func() {
			t.note(func(p *phases) { p.firstByte = time.Since(at) })
		},
	}
}

func (p phases) copy(r *Result) {
	r.Remote, r.DNS, r.Connect, r.TLS, r.FirstByte = cmp.Or(p.remote, p.dialled), p.dns, p.connect, p.tls, p.firstByte
}
