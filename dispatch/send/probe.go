package send

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// Probe resolves the endpoint's name, connects, and, with https, shakes hands; it sends
// no request. Where a proxy stands before the endpoint, it goes to the proxy and no
// further. It returns the address it reached.
func (e *Endpoint) Probe(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	if err := e.policy.CheckURL(e.url); err != nil {
		return "", err
	}
	t := e.client.current()
	if t.Proxy != nil {
		proxy, err := t.Proxy(&http.Request{URL: e.url})
		if err != nil {
			return "", errors.New("the proxy that the environment names cannot be used")
		}
		if proxy != nil {
			return e.probeProxy(ctx, t, proxy)
		}
	}
	conn, err := t.DialContext(ctx, "tcp", hostPort(e.url))
	if err != nil {
		return "", errors.New(e.explain(err, phases{}))
	}
	defer conn.Close()
	reached := conn.RemoteAddr().String()
	if e.url.Scheme == "https" {
		conf := t.TLSClientConfig.Clone()
		if conf.ServerName == "" {
			conf.ServerName = asciiHost(e.url.Hostname())
		}
		if err := tls.Client(conn, conf).HandshakeContext(ctx); err != nil {
			return reached, errors.New(e.explain(err, phases{remote: reached}))
		}
	}
	return reached, nil
}

func (e *Endpoint) probeProxy(ctx context.Context, t *http.Transport, proxy *url.URL) (string, error) {
	conn, err := t.DialContext(ctx, "tcp", hostPort(proxy))
	if err != nil {
		return "", fmt.Errorf("the proxy %s: %s", proxy.Host, e.explain(err, phases{}))
	}
	defer conn.Close()
	return "the proxy " + conn.RemoteAddr().String(), nil
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(asciiHost(u.Hostname()), port)
}
