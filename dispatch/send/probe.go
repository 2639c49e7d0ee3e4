package send

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
)

// Probe resolves the endpoint's name, connects, and, with https, shakes hands; it sends
// no request. Where an HTTP proxy stands before the endpoint, it asks that one for a tunnel,
// with its credentials, and shakes hands through it. It returns the address it reached.
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
	return reached, e.shakeHands(ctx, t, conn, phases{remote: reached})
}

// shakeHands makes the TLS handshake of an https endpoint.
func (e *Endpoint) shakeHands(ctx context.Context, t *http.Transport, conn net.Conn, ph phases) error {
	if e.url.Scheme != "https" {
		return nil
	}
	conf := t.TLSClientConfig.Clone()
	if conf.ServerName == "" {
		conf.ServerName = asciiHost(e.url.Hostname())
	}
	if err := tls.Client(conn, conf).HandshakeContext(ctx); err != nil {
		return errors.New(e.explain(err, ph))
	}
	return nil
}

func (e *Endpoint) probeProxy(ctx context.Context, t *http.Transport, proxy *url.URL) (string, error) {
	conn, err := t.DialContext(ctx, "tcp", hostPort(proxy))
	if err != nil {
		return "", errors.New(e.explain(&net.OpError{Op: proxyConnect, Err: err}, phases{}))
	}
	defer conn.Close()
	reached := conn.RemoteAddr().String()
	if proxy.Scheme == "https" {
		conf := t.TLSClientConfig.Clone()
		conf.ServerName = asciiHost(proxy.Hostname())
		secured := tls.Client(conn, conf)
		if err := secured.HandshakeContext(ctx); err != nil {
			return "", errors.New(e.explain(&net.OpError{Op: proxyConnect, Err: err}, phases{remote: reached}))
		}
		conn = secured
	}
	if proxy.Scheme == "http" || proxy.Scheme == "https" {
		err = e.tunnel(ctx, conn, proxy)
	}
	var refused *proxyRefusal
	switch {
	case errors.As(err, &refused) && !unauthorised(refused.status) && e.url.Scheme == "http":
		// Plain HTTP needs no tunnel, and many proxies make none to its port.
		return "the proxy " + reached, nil
	case err != nil:
		return "", errors.New(e.explain(err, phases{remote: reached}))
	case e.url.Scheme == "https" && proxy.Scheme[:4] == "http":
		return "the proxy " + reached, e.shakeHands(ctx, t, conn, phases{remote: reached})
	}
	return "the proxy " + reached, nil
}

// tunnel asks a proxy for a tunnel to the endpoint.
func (e *Endpoint) tunnel(ctx context.Context, conn net.Conn, proxy *url.URL) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	host := hostPort(e.url)
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: host}, Host: host, Header: http.Header{"User-Agent": {UserAgent}}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		req.Header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return &net.OpError{Op: proxyConnect, Err: errors.Join(context.Cause(ctx), err)}
	}
	// A handshake's first bytes are the client's, so none of the endpoint's are read here.
	resp, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, maxResponseHeader)), req)
	if err != nil {
		return &net.OpError{Op: proxyConnect, Err: errors.Join(context.Cause(ctx), err)}
	}
	return refusedBy(resp)
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(asciiHost(u.Hostname()), port)
}
