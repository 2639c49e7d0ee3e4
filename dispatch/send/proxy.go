package send

import (
	"errors"
	"fmt"
	"net"
	"net/http"
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
		if ph.remote == "" && timedOut(err) {
			return fmt.Sprintf("timed out after %s while connecting to the proxy %s; %s", e.cfg.Timeout, proxy, proxyHint)
		}
		return ""
	case timedOut(op.Err):
		return fmt.Sprintf("the proxy %s timed out; %s", proxy, proxyHint)
	case errors.As(op.Err, &dns):
		return fmt.Sprintf("the proxy's name %s could not be resolved: %s; %s", dns.Name, dns.Err, proxyHint)
	case errors.Is(op.Err, syscall.ECONNREFUSED):
		return fmt.Sprintf("the proxy %s refused the connection: is it running? %s", proxy, proxyHint)
	}
	return fmt.Sprintf("the proxy %s cannot be reached: %s; %s", proxy, clip(innermost(op.Err), 300), proxyHint)
}

const proxyHint = "HTTP_PROXY or HTTPS_PROXY of the agent's environment names it"

// refusedByProxy says what a proxy's status means.
func (e *Endpoint) refusedByProxy(status int) string {
	proxy := e.client.proxy.Host
	if status == http.StatusProxyAuthRequired {
		return fmt.Sprintf("the proxy %s does not accept the user and password (HTTP 407); %s", proxy, proxyHint)
	}
	return fmt.Sprintf("the proxy %s does not connect to %s: HTTP %d %s", proxy, e.url.Host, status, http.StatusText(status))
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
