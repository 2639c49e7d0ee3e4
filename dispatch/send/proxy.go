package send

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// proxyConnect is the Op of a net.OpError by which net/http says that the way to the proxy
// failed, rather than the one to the endpoint.
const proxyConnect = "proxyconnect"

// proxyRefusal is a proxy's answer other than 2xx where it was asked for a tunnel.
type proxyRefusal struct{ status int }

func (p *proxyRefusal) Error() string {
	return fmt.Sprintf("HTTP %d %s", p.status, http.StatusText(p.status))
}

func refusedBy(resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return &proxyRefusal{resp.StatusCode}
}

// explainProxy says what is wrong with the proxy, "" where the error is not its. It never
// holds the proxy's credentials.
func (e *Endpoint) explainProxy(err error, ph phases) string {
	if e.client == nil || e.client.proxy == nil {
		return ""
	}
	proxy := e.client.proxy.Host
	var refusal *proxyRefusal
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &refusal):
		return e.refusedByProxy(refusal.status)
	case !errors.As(err, &op) || op.Op != proxyConnect:
		return e.explainThrough(proxy, err, ph)
	case timedOut(op.Err):
		return fmt.Sprintf("the proxy %s timed out; %s", proxy, proxyHint)
	case errors.As(op.Err, &dns):
		return fmt.Sprintf("the proxy's name %s could not be resolved: %s; %s", dns.Name, dns.Err, proxyHint)
	case errors.Is(op.Err, syscall.ECONNREFUSED):
		return fmt.Sprintf("the proxy %s refused the connection: is it running? %s", proxy, proxyHint)
	}
	return fmt.Sprintf("the proxy %s cannot be reached: %s; %s", proxy, clip(innermost(op.Err), 300), proxyHint)
}

// explainThrough says what went wrong on a way that the proxy is a part of, "" where it can
// only have been the endpoint.
func (e *Endpoint) explainThrough(proxy string, err error, ph phases) string {
	switch {
	case timedOut(err) && ph.remote == "":
		return fmt.Sprintf("timed out after %s while connecting to the proxy %s; %s", e.cfg.Timeout, proxy, proxyHint)
	case timedOut(err) && ph.tls == 0 && !ph.wrote:
		return fmt.Sprintf("timed out after %s while connecting to %s through the proxy %s, which accepted the connection; %s", e.cfg.Timeout, e.url.Host, proxy, proxyHint)
	case e.url.Scheme == "http" && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
		// What is requested in the clear has no connection but the one to the proxy.
		return fmt.Sprintf("the proxy %s closed the connection %s; does it accept the user and password? %s", proxy, ph.waiting(proxy), proxyHint)
	}
	return ""
}

const proxyHint = "HTTP_PROXY or HTTPS_PROXY of the agent's environment names it"

// refusedByProxy says what a proxy's status means.
func (e *Endpoint) refusedByProxy(status int) string {
	proxy := e.client.proxy.Host
	if unauthorised(status) {
		return fmt.Sprintf("the proxy %s does not accept the user and password (HTTP %d); %s", proxy, status, proxyHint)
	}
	return fmt.Sprintf("the proxy %s does not connect to %s: HTTP %d %s", proxy, e.url.Host, status, http.StatusText(status))
}

// unauthorised reports whether a proxy does not take the password: Tinyproxy says so by a 401.
func unauthorised(status int) bool {
	return status == http.StatusProxyAuthRequired || status == http.StatusUnauthorized
}

// byProxy reports whether an answer to a request in the clear is the proxy's own refusal of
// the password, and not the endpoint's.
func (e *Endpoint) byProxy(status int, header http.Header) bool {
	if e.client.proxy == nil || e.url.Scheme != "http" {
		return false
	}
	return status == http.StatusProxyAuthRequired || status == http.StatusUnauthorized && strings.HasPrefix(header.Get("Server"), "tinyproxy")
}

func innermost(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
