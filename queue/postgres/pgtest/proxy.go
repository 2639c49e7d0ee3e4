package pgtest

import (
	"net"
	"net/url"
	"sync"
	"testing"
)

// Proxy is the network between two programs of this machine: open, held (nothing passes, and
// nobody is told) or cut (connections are reset, new ones are refused an answer).
type Proxy struct {
	listener net.Listener
	pumps    sync.WaitGroup

	mu      sync.Mutex
	changed *sync.Cond
	target  string
	held    bool
	cut     bool
	open    map[net.Conn]bool
}

// NewProxy passes on to target, and ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, open: map[net.Conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.pumps.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Through is a way of a client's own to the one server of a URL.
func Through(t testing.TB, to string) (way *Proxy, through string) {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	way = NewProxy(t, u.Host)
	u.Host = way.listener.Addr().String()
	return way, u.String()
}

// Port is where the proxy listens on loopback.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Hold has nothing pass from now on, without anybody being told.
func (p *Proxy) Hold() { p.set(true, false) }

// Cut resets every connection, and each new one.
func (p *Proxy) Cut() { p.set(false, true) }

// Restore has everything pass again: what was held arrives now.
func (p *Proxy) Restore() { p.set(false, false) }

// Retarget sends new connections elsewhere. Those that stand stay as they are.
func (p *Proxy) Retarget(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

func (p *Proxy) set(held, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held, p.cut = held, cut
	if cut {
		for c := range p.open {
			c.Close()
		}
	}
	p.changed.Broadcast()
}

func (p *Proxy) close() {
	p.listener.Close()
	p.Cut()
	p.pumps.Wait()
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.pumps.Go(func() { p.connect(c) })
	}
}

// connect serves one connection to its end.
func (p *Proxy) connect(client net.Conn) {
	defer client.Close()
	if !p.enter(client) {
		return
	}
	defer p.leave(client)
	target, ok := p.wait()
	if !ok {
		return
	}
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	if !p.enter(server) {
		return
	}
	defer p.leave(server)
	var both sync.WaitGroup
	both.Go(func() { p.pump(server, client) })
	both.Go(func() { p.pump(client, server) })
	both.Wait()
}

// enter has a connection closed when the network is cut; false where it is already.
func (p *Proxy) enter(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut {
		return false
	}
	p.open[c] = true
	return true
}

func (p *Proxy) leave(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// wait returns once the network is not held; false where it is cut.
func (p *Proxy) wait() (target string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held {
		p.changed.Wait()
	}
	return p.target, !p.cut
}

func (p *Proxy) pump(to, from net.Conn) {
	defer to.Close() // the other direction ends too
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if _, ok := p.wait(); !ok {
			return
		}
		if _, werr := to.Write(b[:n]); werr != nil || err != nil {
			return
		}
	}
}
