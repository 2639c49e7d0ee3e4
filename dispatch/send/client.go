package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

// TLS is what a webhook says of its connection; empty fields are the system's.
type TLS struct {
	CAFile, CertFile, KeyFile, ServerName string
}

// Authorities are those of ca_file, nil for the system's.
func (t TLS) Authorities() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s has no certificate in PEM form", t.CAFile)
	}
	return pool, nil
}

// Certificates are the one to show to a receiver that asks, or none.
func (t TLS) Certificates() ([]tls.Certificate, error) {
	if t.CertFile == "" && t.KeyFile == "" {
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("%s with the key %s: %w", t.CertFile, t.KeyFile, err)
	}
	return []tls.Certificate{cert}, nil
}

// client is an HTTP client for one endpoint that follows changes of its certificate files.
type client struct {
	cfg      TLS
	conns    int
	timeout  time.Duration
	resolver *net.Resolver
	policy   *target.Policy
	proxy    *url.URL // nil: straight to the endpoint
	log      *slog.Logger

	open, underWay int          // connections and exchanges, guarded by kept
	exchanges      sync.RWMutex // held for reading by each exchange under way

	mu        sync.Mutex
	transport *http.Transport
	stamp     string
	complaint string
}

// maxResponseHeader bounds a response's headers.
const maxResponseHeader = 64 << 10

func newClient(cfg *Config, u *url.URL, policy *target.Policy, log *slog.Logger) (*client, error) {
	c := &client{cfg: cfg.TLS, conns: cfg.Concurrency, timeout: cfg.Timeout, resolver: cfg.Resolver, policy: policy, log: log.With("webhook", cfg.Webhook)}
	var err error
	if policy.Proxy {
		if c.proxy, err = http.ProxyFromEnvironment(&http.Request{URL: u}); err != nil {
			// The error may hold the proxy's password.
			return nil, Mistakes{{"url", errors.New("the proxy that the environment names cannot be used; check HTTP_PROXY and HTTPS_PROXY")}}
		}
	}
	c.stamp = c.stampFiles()
	c.transport, err = c.build()
	return c, err
}

// current is the transport, made again where a certificate file has changed. Files that
// cannot be used leave the one in force.
func (c *client) current() *http.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	stamp := c.stampFiles()
	if stamp == c.stamp {
		return c.transport
	}
	t, err := c.build()
	if err != nil {
		if c.complaint != err.Error() {
			c.log.Error("the changed certificate files cannot be used; the previous ones stay in force", "error", err)
		}
		c.complaint = err.Error()
		return c.transport
	}
	c.transport.CloseIdleConnections()
	c.transport, c.stamp, c.complaint = t, stamp, ""
	return t
}

func (c *client) stampFiles() string {
	var s string
	for _, f := range []string{c.cfg.CAFile, c.cfg.CertFile, c.cfg.KeyFile} {
		if f == "" {
			continue
		}
		if info, err := os.Stat(f); err == nil {
			s += fmt.Sprintf("%d %d;", info.ModTime().UnixNano(), info.Size())
		}
	}
	return s
}

func (c *client) build() (*http.Transport, error) {
	conf := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: c.cfg.ServerName,
		// A receiver that closes its connections is met again without a whole handshake.
		ClientSessionCache: tls.NewLRUClientSessionCache(max(c.conns, 2)),
	}
	var wrong Mistakes
	var err error
	if conf.RootCAs, err = c.cfg.Authorities(); err != nil {
		wrong = append(wrong, Mistake{"tls.ca_file", err})
	}
	if conf.Certificates, err = c.cfg.Certificates(); err != nil {
		wrong = append(wrong, Mistake{"tls.cert_file", err})
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	// The transport continues to connect when the attempt that asked for it has ended, and
	// counts that as one of MaxConnsPerHost. Without bounds of its own, a receiver that
	// hangs would be shut out for good. The first also allows each of a name's addresses
	// its share of the time.
	dialer := &net.Dialer{Timeout: c.timeout, KeepAlive: 30 * time.Second, Resolver: c.resolver}
	// A proxy's address is not judged. What the environment exempts from it (NO_PROXY, and
	// localhost always) is dialled straight, and is.
	if c.proxy == nil {
		dialer.Control = c.policy.Control
	}
	t := &http.Transport{
		DialContext:            kept.dial(c, dialer.DialContext),
		TLSClientConfig:        conf,
		TLSHandshakeTimeout:    c.timeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,              // it would read on in what decompresses to nothing: see readBody
		MaxIdleConnsPerHost:    max(c.conns+1, 2), // as many as MaxConnsPerHost: each beyond it would be closed and dialled again
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		WriteBufferSize:        4 << 10,
		ReadBufferSize:         4 << 10,
		HTTP2: &http.HTTP2Config{
			MaxReceiveBufferPerStream:     maxResponse,
			MaxReceiveBufferPerConnection: 4 * maxResponse,
			// A connection whose other side has vanished would fail attempt after attempt.
			SendPingTimeout: 5 * time.Second,
			PingTimeout:     5 * time.Second,
		},
	}
	if c.proxy != nil {
		t.Proxy = http.ProxyURL(c.proxy)
		t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			return refusedBy(resp)
		}
	}
	if c.conns > 0 {
		t.MaxConnsPerHost = c.conns + 1 // a person's test need not wait for deliveries that hang
	}
	return t, nil
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.transport.CloseIdleConnections()
}
