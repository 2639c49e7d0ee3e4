package send

import (
	"context"
	"net"
	"slices"
	"sync"
)

const (
	// maxKept is how many connections all endpoints together have open before those that are not
	// in use are closed: each takes some 25 KiB, with TLS twice that.
	maxKept = 128
	// minIdle is how many of these are kept all the same: where receivers hang with more than
	// maxKept, the others would connect for each event.
	minIdle = 32
)

// kept belongs to the process, as its memory does.
var kept = pool{most: maxKept, least: minIdle}

// pool counts the open connections of all endpoints. Where there are too many, those that the
// endpoints keep for their next exchanges go, of the ones that had none for longest first.
type pool struct {
	most, least int

	mu      sync.Mutex
	open    int
	clients []*client // that have connections, the one that was used last at the end
}

// idle is how many of a client's connections are not in use; kept's mu is held. Over HTTP/2 it
// is a guess, too low where several exchanges share one.
func (c *client) idle() int { return max(0, c.open-c.underWay) }

// dial makes a client's dialer count what it opens.
func (p *pool) dial(c *client, dial func(ctx context.Context, network, addr string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open++
		c.open++
		p.latest(c)
		return &counted{Conn: conn, pool: p, client: c}, nil
	}
}

// latest puts a client at the end. mu is held.
func (p *pool) latest(c *client) {
	if i := slices.Index(p.clients, c); i >= 0 {
		p.clients = slices.Delete(p.clients, i, i+1)
	}
	p.clients = append(p.clients, c)
}

// using notes that a client begins an exchange, after which used must be called. last: the
// connection is to be closed at its end, since there are too many and the client has others.
func (p *pool) using(c *client) (last bool) {
	c.exchanges.RLock()
	p.mu.Lock()
	defer p.mu.Unlock()
	c.underWay++
	return !p.enough() && c.idle() > 0
}

// used notes that a client has ended an exchange, and closes what is too much by now.
func (p *pool) used(c *client) {
	c.exchanges.RUnlock()
	for _, idle := range p.ended(c) {
		idle.closeIdle()
		p.mu.Lock()
		enough := p.enough()
		p.mu.Unlock()
		if enough {
			return
		}
	}
}

// closeIdle closes the connections of a client that has nothing under way. net/http may have a
// connection as idle before it hands out the response that came by it, which would be lost.
func (c *client) closeIdle() {
	if c.exchanges.TryLock() {
		defer c.exchanges.Unlock()
		c.close()
	}
}

// enough reports whether nothing more needs to be closed. mu is held.
func (p *pool) enough() bool {
	if p.open <= p.most {
		return true
	}
	idle := 0
	for _, c := range p.clients {
		idle += c.idle()
	}
	return idle <= p.least
}

// ended returns the clients whose idle connections are to be closed until there are few enough,
// the first ones first: those that have nothing under way.
func (p *pool) ended(c *client) (whole []*client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.underWay--
	if c.open > 0 {
		p.latest(c)
	}
	if p.enough() {
		return nil
	}
	for _, c := range p.clients {
		if c.underWay == 0 {
			whole = append(whole, c)
		}
	}
	return whole
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	pool   *pool
	client *client
	once   sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() {
		p := c.pool
		p.mu.Lock()
		defer p.mu.Unlock()
		p.open--
		if c.client.open--; c.client.open == 0 {
			if i := slices.Index(p.clients, c.client); i >= 0 {
				p.clients = slices.Delete(p.clients, i, i+1)
			}
		}
	})
	return c.Conn.Close()
}
