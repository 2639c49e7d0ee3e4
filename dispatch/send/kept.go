package send

import (
	"context"
	"net"
	"slices"
	"sync"
)

// maxKept is how many connections all endpoints together have open before those that are not
// in use are closed: each takes some 25 KiB, with TLS twice that.
const maxKept = 128

// kept belongs to the process, as its memory does.
var kept = pool{most: maxKept}

// pool counts the open connections of all endpoints. Where there are too many, those that the
// endpoints keep for their next exchanges go, of the ones that had none for longest first.
type pool struct {
	most int

	mu      sync.Mutex
	open    int
	clients []*client // that have connections, the one that was used last at the end
}

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

// used notes that a client has ended an exchange, and closes what is too much by now.
func (p *pool) used(c *client) {
	for _, idle := range p.tooMany(c) {
		idle.close()
		p.mu.Lock()
		enough := p.open <= p.most
		p.mu.Unlock()
		if enough {
			return
		}
	}
}

// tooMany returns the clients whose idle connections are to be closed, until there are few
// enough, the first ones first.
func (p *pool) tooMany(c *client) []*client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.open > 0 {
		p.latest(c)
	}
	if p.open <= p.most {
		return nil
	}
	return slices.Clone(p.clients)
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
