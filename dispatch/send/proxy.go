package send

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
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

// viaProxy is the way to an endpoint that leads through a proxy, and says what went wrong on
// it. It never holds the proxy's credentials.
type viaProxy struct {
	proxy   string // host and port
	to      *url.URL
	timeout time.Duration
}

// throughProxy returns nil where no proxy is used.
func (e *Endpoint) throughProxy() *viaProxy {
	if e.client == nil || e.client.proxy == nil {
		return nil
	}
	return &viaProxy{e.client.proxy.Host, e.url, e.cfg.Timeout}
}

// explain says what is wrong with the proxy, "" where the error is not its.
func (v *viaProxy) explain(err error, ph phases) string {
	if v == nil {
		return ""
	}
	proxy := v.proxy
	var refusal *proxyRefusal
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &refusal):
		return v.refused(refusal.status)
	case !errors.As(err, &op) || op.Op != proxyConnect:
		return v.explainThrough(err, ph)
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
func (v *viaProxy) explainThrough(err error, ph phases) string {
	proxy := v.proxy
	switch {
	case timedOut(err) && ph.remote == "":
		return fmt.Sprintf("timed out after %s while connecting to the proxy %s; %s", v.timeout, proxy, proxyHint)
	case timedOut(err) && ph.tls == 0 && !ph.wrote:
		return fmt.Sprintf("timed out after %s while connecting to %s through the proxy %s, which accepted the connection; %s", v.timeout, v.to.Host, proxy, proxyHint)
	case v.to.Scheme == "http" && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)):
		// What is requested in the clear has no connection but the one to the proxy.
		return fmt.Sprintf("the proxy %s closed the connection %s; does it accept the user and password? %s", proxy, ph.waiting(proxy), proxyHint)
	}
	return ""
}

const proxyHint = "HTTP_PROXY or HTTPS_PROXY of the agent's environment names it"

// refused says what a proxy's status means.
func (v *viaProxy) refused(status int) string {
	proxy := v.proxy
	if unauthorised(status) {
		return fmt.Sprintf("the proxy %s does not accept the user and password (HTTP %d); %s", proxy, status, proxyHint)
	}
	return fmt.Sprintf("the proxy %s does not connect to %s: HTTP %d %s", proxy, v.to.Host, status, http.StatusText(status))
}

// unauthorised reports whether a proxy does not take the password: Tinyproxy says so by a 401.
func unauthorised(status int) bool {
	return status == http.StatusProxyAuthRequired || status == http.StatusUnauthorized
}

// answered reports whether an answer to a request in the clear is the proxy's own refusal of
// the password, and not the endpoint's.
func (v *viaProxy) answered(status int, header http.Header) bool {
	if v == nil || v.to.Scheme != "http" {
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
