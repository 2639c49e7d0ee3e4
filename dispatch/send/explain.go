package send

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"unicode"
)

// explain says what went wrong in words for people. It never holds the URL.
func (e *Endpoint) explain(err error, ph phases) string {
	host := e.url.Hostname()
	var dns *net.DNSError
	var netErr net.Error
	var hostErr x509.HostnameError
	var caErr x509.UnknownAuthorityError
	var certErr x509.CertificateInvalidError
	var recordErr tls.RecordHeaderError
	switch {
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Sprintf("timed out after %s %s", e.cfg.Timeout, ph.waiting(host))
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("there is no host named %s; check the webhook's url and this machine's name server", host)
	case errors.As(err, &dns):
		return fmt.Sprintf("the name %s could not be resolved: %s", host, dns.Err)
	case errors.As(err, &hostErr):
		return fmt.Sprintf("TLS: the certificate is for %s and not for %s; set tls.server_name if that is right", strings.Join(hostErr.Certificate.DNSNames, ", "), host)
	case errors.As(err, &caErr):
		return fmt.Sprintf("TLS: the certificate of %s is by an authority that is not known here; name it in tls.ca_file", host)
	case errors.As(err, &certErr):
		return fmt.Sprintf("TLS: the certificate of %s is not valid: %s", host, certErr.Error())
	case errors.As(err, &recordErr):
		return fmt.Sprintf("%s does not speak TLS on this port; is it http:// and not https://?", host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refused the connection; is the receiver running?", e.url.Host)
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Sprintf("%s reset the connection %s", e.url.Host, ph.waiting(host))
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Sprintf("%s closed the connection %s", e.url.Host, ph.waiting(host))
	case strings.Contains(err.Error(), "server response headers exceeded"):
		return fmt.Sprintf("%s sent more than %d KiB of headers", e.url.Host, maxResponseHeader>>10)
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return fmt.Sprintf("%s: %v", op.Op, op.Err)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return clip(err.Error(), 500)
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

// offline tells whether a failure is this machine's: there is no route, and no interface
// but loopback is up with an address.
func offline(err error, host string) bool {
	if ip, parseErr := netip.ParseAddr(host); parseErr == nil && ip.IsLoopback() || host == "localhost" {
		return false
	}
	var dns *net.DNSError
	unreachable := errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.ENETDOWN) || errors.Is(err, syscall.EHOSTUNREACH) ||
		errors.As(err, &dns) && !dns.IsNotFound
	return unreachable && !connected()
}

// connected tells whether this machine has an address that others could reach it by.
func connected() bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return true
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return true
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				return true
			}
		}
	}
	return false
}

var secretPath = regexp.MustCompile(`^[A-Za-z0-9_~.=-]{16,}$`)

// RedactURL is a URL as it may be shown: without user, query and fragment, and with the
// parts of its path that look like a secret left out, as those of chat services are.
func RedactURL(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil {
		return "[a URL that cannot be read]"
	}
	host := strings.ToLower(u.Hostname())
	parts := strings.Split(u.Path, "/")
	for i, part := range parts {
		if part != "" && (looksSecret(part) || chatSecret(host, i)) {
			parts[i] = "…"
		}
	}
	out := url.URL{Scheme: u.Scheme, Host: u.Host}
	shown := out.String() + strings.Join(parts, "/")
	if u.RawQuery != "" {
		shown += "?…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, shown)
}

// chatSecret knows where chat services have the secret in the path.
func chatSecret(host string, i int) bool {
	switch {
	case host == "hooks.slack.com":
		return i > 1 // /services/T…/B…/…
	case strings.HasSuffix(host, "discord.com"), strings.HasSuffix(host, "discordapp.com"):
		return i > 2 // /api/webhooks/ID/TOKEN
	case strings.HasSuffix(host, "webhook.office.com"), strings.HasSuffix(host, "logic.azure.com"), host == "api.telegram.org":
		return i > 0
	}
	return false
}

// looksSecret tells a token from a word: long, and with digits or both cases mixed in.
func looksSecret(part string) bool {
	if !secretPath.MatchString(part) {
		return false
	}
	digits := strings.ContainsAny(part, "0123456789")
	mixed := strings.ToLower(part) != part && strings.ToUpper(part) != part
	return digits || mixed || len(part) >= 32
}
