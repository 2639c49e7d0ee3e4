package admin

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxConnections bounds a listener's connections, streams among them. Thousands that
// somebody opens and leaves would take the memory and the files that the queue needs.
const maxConnections = 256

// connections is a listener whose connections are bounded without making anybody wait: one
// that asks for nothing makes room for the next.
type connections struct {
	net.Listener
	most int

	mu  sync.Mutex
	all map[*connection]struct{}
}

func newConnections(l net.Listener, most int) *connections {
	return &connections{Listener: l, most: most, all: map[*connection]struct{}{}}
}

// use is what a connection is needed for, the least first.
type use uint8

const (
	silent use = iota // it has asked for nothing yet, or nothing more
	public            // health, metrics, the page: what everybody may ask for
	called            // the API
)

type connection struct {
	net.Conn
	of    *connections
	since time.Time
	use   use
	once  sync.Once
}

func (l *connections) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		conn := &connection{Conn: c, of: l, since: time.Now()}
		if l.add(conn) {
			return conn, nil
		}
		_ = c.Close()
	}
}

// add takes a connection in, in place of the one that is needed least.
func (l *connections) add(c *connection) bool {
	l.mu.Lock()
	var least *connection
	if len(l.all) >= l.most {
		for o := range l.all {
			if o.use < called && (least == nil || o.use < least.use || o.use == least.use && o.since.Before(least.since)) {
				least = o
			}
		}
		if least == nil {
			l.mu.Unlock()
			return false
		}
		delete(l.all, least)
	}
	l.all[c] = struct{}{}
	l.mu.Unlock()
	if least != nil {
		_ = least.Conn.Close()
	}
	return true
}

func (c *connection) Close() error {
	c.once.Do(func() {
		c.of.mu.Lock()
		delete(c.of.all, c)
		c.of.mu.Unlock()
	})
	return c.Conn.Close()
}

func (c *connection) set(u use) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.use, c.since = u, time.Now()
}

type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// busy notes what a request's connection is used for, until the function it returns is called.
func busy(r *http.Request) func() {
	c, ok := r.Context().Value(connectionKey{}).(*connection)
	if !ok {
		return func() {}
	}
	if isAPI(r) {
		c.set(called)
	} else {
		c.set(public)
	}
	return func() { c.set(silent) }
}
