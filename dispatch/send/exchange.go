package send

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

const (
	// maxResponse is how much of a response is read, decompressed.
	maxResponse = 64 << 10
	// keepRunes is how much of it is kept.
	keepRunes = 1000
)

// Transcript is an exchange as it went over the wire, with secrets masked.
type Transcript struct {
	Request, Response string
}

// phases are how far an attempt got.
type phases struct {
	dns, connect, tls, firstByte time.Duration
	remote                       string
	wrote                        bool
}

// Exchange makes one attempt and tells it as it went over the wire.
func (e *Endpoint) Exchange(parent context.Context, m Message) (Result, Transcript) {
	at := time.Now()
	r := Result{At: at, URL: e.safe}
	var tr Transcript
	finish := func(class Class, text string) (Result, Transcript) {
		r.Class, r.Error, r.Took = class, text, time.Since(at)
		return r, tr
	}
	if err := e.policy.CheckURL(e.url); err != nil {
		return finish(Dead, err.Error())
	}
	ctx, cancel := context.WithDeadlineCause(parent, at.Add(e.cfg.Timeout), errTimeout)
	defer cancel()
	var t tracer
	req, body, err := e.request(httptrace.WithClientTrace(ctx, t.trace(at)), m, at)
	if err != nil {
		return finish(Dead, err.Error())
	}
	tr.Request = e.transcribe(req, body)
	// RoundTrip and not a Client: redirects are not followed, cookies not kept.
	resp, err := e.client.current().RoundTrip(req)
	if err != nil {
		return e.failed(parent, &r, t.now(), err, finish)
	}
	text, bodyErr := readBody(resp)
	ph := t.now()
	ph.copy(&r)
	r.Status, r.Response = resp.StatusCode, keep(text)
	tr.Response = fmt.Sprintf("%s %s\n%s\n%s", resp.Proto, resp.Status, headerLines(resp.Header, nil), r.Response)
	if bodyErr != nil {
		return e.failed(parent, &r, ph, bodyErr, finish)
	}
	return e.judge(&r, resp, at, finish)
}

var errTimeout = errors.New("timed out")

// judge says what a status means.
func (e *Endpoint) judge(r *Result, resp *http.Response, now time.Time, finish func(Class, string) (Result, Transcript)) (Result, Transcript) {
	code := resp.StatusCode
	said := fmt.Sprintf("HTTP %d %s", code, http.StatusText(code))
	if r.Response != "" {
		said += ": " + clip(strings.Join(strings.Fields(r.Response), " "), 200)
	}
	switch {
	case code/100 == 2:
		return finish(Delivered, "")
	case code == http.StatusGone:
		return finish(Gone, said+" (the endpoint says that it is gone for good)")
	case code/100 == 3:
		to := "another address"
		if location := resp.Header.Get("Location"); location != "" {
			to = clip(RedactURL(location), 300)
		}
		return finish(Retry, fmt.Sprintf("HTTP %d: a redirect to %s is not followed; put the final address into url", code, to))
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		r.RetryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
		r.Outage = true
	case code >= 500:
		r.Outage = true
	}
	return finish(Retry, said)
}

// retryAfter reads seconds or an HTTP date (RFC 9110, 10.2.3), zero where it is neither.
func retryAfter(v string, now time.Time) time.Time {
	v = strings.TrimSpace(v)
	if n, err := strconv.ParseUint(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return now.Add(time.Duration(min(n, 365*24*3600)) * time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return t
	}
	return time.Time{}
}

// failed says what an exchange without a whole response means.
func (e *Endpoint) failed(parent context.Context, r *Result, ph phases, err error, finish func(Class, string) (Result, Transcript)) (Result, Transcript) {
	ph.copy(r)
	var forbidden *target.Forbidden
	switch {
	case parent.Err() != nil:
		return finish(Stopped, "stopped before the exchange ended")
	case errors.As(err, &forbidden):
		return finish(Dead, forbidden.Error())
	case offline(err, e.url.Hostname(), ph) && !connected():
		return finish(Offline, "this machine has no network: "+e.explain(err, ph))
	}
	r.Outage = true
	return finish(Retry, e.explain(err, ph))
}

// readBody reads what may be read of a response. One that goes on beyond is cut off by
// closing it, which is no failure; nor is a compression that cannot be undone, since the
// status has come whole.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil // its body is the connection itself, which no deadline bounds
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse))
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) {
		err = nil
	}
	return text, err
}

// keep is the beginning of a response as valid, printable text.
func keep(body []byte) string {
	text := strings.ToValidUTF8(string(body[:min(len(body), keepRunes*utf8.UTFMax)]), "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
	return strings.TrimSpace(clip(text, keepRunes))
}

func clip(s string, runes int) string {
	n := 0
	for i := range s {
		if n == runes {
			return s[:i]
		}
		n++
	}
	return s
}

// tracer notes the phases. The transport may still call it after the exchange has ended.
type tracer struct {
	mu sync.Mutex
	p  phases
}

func (t *tracer) now() phases {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.p
}

func (t *tracer) note(f func(p *phases)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.p)
}

func (t *tracer) trace(at time.Time) *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSDone: func(httptrace.DNSDoneInfo) { t.note(func(p *phases) { p.dns = time.Since(at) }) },
		ConnectDone: func(_, addr string, err error) {
			if err == nil {
				t.note(func(p *phases) { p.remote, p.connect = addr, time.Since(at) })
			}
		},
		GotConn: func(i httptrace.GotConnInfo) {
			t.note(func(p *phases) { p.remote = i.Conn.RemoteAddr().String() })
		},
		TLSHandshakeDone: func(tls.ConnectionState, error) { t.note(func(p *phases) { p.tls = time.Since(at) }) },
		WroteRequest:     func(i httptrace.WroteRequestInfo) { t.note(func(p *phases) { p.wrote = i.Err == nil }) },
		GotFirstResponseByte: func() {
			t.note(func(p *phases) { p.firstByte = time.Since(at) })
		},
	}
}

func (p phases) copy(r *Result) {
	r.Remote, r.DNS, r.Connect, r.TLS, r.FirstByte = p.remote, p.dns, p.connect, p.tls, p.firstByte
}

// transcribe prints a request with secrets masked: the webhook's own headers may hold
// tokens, and the URL a path that is one.
func (e *Endpoint) transcribe(req *http.Request, body []byte) string {
	return fmt.Sprintf("POST %s\n%s\n%s", e.safe, headerLines(req.Header, e.header), body)
}

func headerLines(h, masked http.Header) string {
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		for _, v := range h[name] {
			if _, own := masked[name]; own && !strings.EqualFold(name, "Content-Type") && !strings.EqualFold(name, "User-Agent") {
				v = "[secret]"
			}
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	return b.String()
}
