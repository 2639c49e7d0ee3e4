package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"syscall"
)

// explain says what went wrong in words for people. It never holds the URL.
func (e *Endpoint) explain(err error, ph phases) string {
	if text := e.throughProxy().explain(err, ph); text != "" {
		return text
	}
	host := e.url.Hostname()
	var dns *net.DNSError
	var hostErr x509.HostnameError
	var caErr x509.UnknownAuthorityError
	var certErr x509.CertificateInvalidError
	var recordErr tls.RecordHeaderError
	var op *net.OpError
	switch {
	case timedOut(err):
		return fmt.Sprintf("timed out after %s %s", e.cfg.Timeout, ph.waiting(host))
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("there is no host named %s; check the webhook's url and this machine's name server", host)
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s could not be resolved: %s", host, dns.Err)
	case errors.As(err, &hostErr) && unnamed(hostErr.Certificate):
		return fmt.Sprintf("TLS: the certificate of %s names its host only by the old Common Name (%s), which no client reads any more; "+
			"have one issued with a Subject Alternative Name", host, clip(hostErr.Certificate.Subject.CommonName, 200))
	case errors.As(err, &hostErr):
		return fmt.Sprintf("TLS: the certificate is for %s and not for %s; set tls.server_name if that is right", certified(hostErr.Certificate), hostErr.Host)
	case errors.As(err, &caErr):
		return fmt.Sprintf("TLS: the certificate of %s is by an authority that is not known here; name it in tls.ca_file", host)
	case errors.As(err, &certErr):
		return fmt.Sprintf("TLS: the certificate of %s is not valid: %s", host, certErr.Error())
	case errors.As(err, &recordErr):
		return fmt.Sprintf("%s does not speak TLS on this port; is it http:// and not https://?", host)
	case errors.As(err, &op) && op.Op == "remote error": // a TLS alert
		return fmt.Sprintf("TLS: %s ended the handshake: %s; if it wants a client certificate, set tls.cert_file and tls.key_file", host, strings.TrimPrefix(op.Err.Error(), "tls: "))
	case strings.HasSuffix(err.Error(), "tls: no renegotiation"):
		return fmt.Sprintf("TLS: %s wants to renegotiate the connection, which is not done (it is unsafe, and TLS 1.3 has none); "+
			"have it ask for a client certificate at the first handshake, or speak TLS 1.3", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refused the connection; is the receiver running?", e.url.Host)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Sprintf("%s reset the connection %s%s", e.url.Host, ph.waiting(host), e.certificateHint(ph))
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), strings.Contains(err.Error(), "client conn could not be established"),
		errors.Is(err, net.ErrClosed): // net/http closed it when it saw its end, in the midst of a write
		return fmt.Sprintf("%s closed the connection %s%s", e.url.Host, ph.waiting(host), e.certificateHint(ph))
	case strings.Contains(err.Error(), "server response headers exceeded"):
		return fmt.Sprintf("%s sent more than %d KiB of headers", e.url.Host, maxResponseHeader>>10)
	}
	if text := err.Error(); strings.Contains(text, "malformed HTTP") {
		return fmt.Sprintf("%s does not speak HTTP on this port: %s", e.url.Host, clip(text, 300))
	} else if strings.Contains(text, "HTTP") || strings.Contains(text, "http") || strings.Contains(text, "chunk") || strings.Contains(text, "MIME") {
		return fmt.Sprintf("%s sent an answer that cannot be read: %s", e.url.Host, clip(text, 300))
	}
	if errors.As(err, &op) && op.Err != nil {
		return fmt.Sprintf("%s: %v", op.Op, op.Err)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return clip(err.Error(), 500)
}

// certificateHint is for connections that end before an answer: with TLS 1.3 the alert
// that a client certificate is required may be lost to the reset that follows it.
func (e *Endpoint) certificateHint(ph phases) string {
	if ph.tls == 0 || ph.firstByte > 0 || e.cfg.TLS.CertFile != "" {
		return ""
	}
	return "; if it wants a client certificate, set tls.cert_file and tls.key_file"
}

func timedOut(err error) bool {
	var netErr net.Error
	return errors.Is(err, errTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
}

// unnamed reports whether a certificate has a Common Name and no name that counts.
func unnamed(c *x509.Certificate) bool {
	return len(c.DNSNames)+len(c.IPAddresses) == 0 && c.Subject.CommonName != ""
}

// certified are the names that a certificate is for.
func certified(c *x509.Certificate) string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no host"
	}
	return clip(strings.Join(names, ", "), 200)
}

// waiting says what an attempt was at when it ended.
func (p phases) waiting(host string) string {
	switch {
	case p.firstByte > 0:
		return "while reading the response"
	case p.wrote:
		return "while waiting for the response"
	case p.remote != "":
		return "while sending the request"
	}
	return "while connecting to " + host
}
