package send

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"syscall"
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

// Exchange makes one attempt and tells it as it went over the wire.
func (e *Endpoint) Exchange(parent context.Context, m Message) (Result, Transcript) {
	var tr Transcript
	r := e.exchange(parent, m, &tr)
	return r, tr
}

// exchange makes one attempt, and tells it in tr where that is not nil.
func (e *Endpoint) exchange(parent context.Context, m Message, tr *Transcript) (r Result) {
	body, contentType, err := e.render(m) // which may have to wait for its turn
	r = Result{At: time.Now(), URL: e.safe}
	defer func() { r.Error, r.Took = e.scrub.Replace(r.Error), time.Since(r.At) }()
	if forbidden := e.policy.CheckURL(e.url); forbidden != nil {
		err = forbidden
	}
	if err != nil {
		r.Class, r.Error = Dead, err.Error()
		return r
	}
	ctx, cancel := context.WithDeadlineCause(parent, r.At.Add(e.cfg.Timeout), errTimeout)
	defer cancel()
	last := kept.using(e.client)
	defer kept.used(e.client)
	var t tracer
	req := e.request(httptrace.WithClientTrace(ctx, t.trace(r.At)), m, body, contentType, r.At)
	req.Close = last
	if tr != nil {
		tr.Request = e.transcribe(req, body)
	}
	// RoundTrip and not a Client: redirects are not followed, cookies not kept.
	transport := e.client.current()
	resp, err := transport.RoundTrip(req)
	if err != nil && severed(ctx, t.now(), err) {
		if req.Body, err = req.GetBody(); err == nil {
			resp, err = transport.RoundTrip(req)
		}
	}
	if err != nil {
		e.failed(parent, &r, t.now(), err)
		return r
	}
	text, err := readBody(resp)
	r.Status, r.Header, r.Response = resp.StatusCode, e.keepHeader(resp), e.keep(text)
	if tr != nil {
		tr.Response = r.Header + "\n" + r.Response
	}
	// The status decides, with its whole body or without: a receiver that has said 2xx has
	// taken the event. Only the timeout covers both.
	late := errors.Is(err, errTimeout) || errors.Is(err, context.DeadlineExceeded)
	if err != nil && (r.Status/100 == 2 && late || r.Status/100 != 2 && parent.Err() != nil) {
		e.failed(parent, &r, t.now(), err)
		return r
	}
	t.now().copy(&r)
	judge(&r, resp.Header)
	if via := e.throughProxy(); via.answered(r.Status, resp.Header) {
		r.Error = via.refused(r.Status)
	}
	return r
}

// severed reports whether a connection that was kept from an earlier exchange ended before
// anything of the response came, as receivers and what is in front of them close those that
// have been idle for long. The request is sent once more, by a new one: receivers tell repeats
// by webhook-id. Over HTTP/1 the transport has done so.
//
// Where the agent itself has closed it, with a webhook's former configuration or certificates,
// the response may have been lost, and the endpoint is not to blame either.
func severed(ctx context.Context, ph phases, err error) bool {
	text := err.Error()
	switch {
	case ctx.Err() != nil:
		return false
	case strings.Contains(text, "CloseIdleConnections called"):
		return true
	case !ph.reused || ph.firstByte != 0:
		return false
	}
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, net.ErrClosed} {
		if errors.Is(err, end) {
			return true
		}
	}
	return slices.ContainsFunc(severedTexts, func(t string) bool { return strings.Contains(text, t) })
}

// severedTexts are errors of HTTP/2 that net/http keeps to itself. The last two are of a connection
// that ended between being chosen and being used.
var severedTexts = []string{"server sent GOAWAY", "client connection lost", "client conn is closed", "client conn not usable"}

var errTimeout = errors.New("timed out")

// judge says what a status means.
func judge(r *Result, header http.Header) {
	said := strings.TrimSpace(fmt.Sprintf("HTTP %d %s", r.Status, http.StatusText(r.Status)))
	if r.Response != "" {
		said += ": " + clip(strings.Join(strings.Fields(r.Response), " "), 200)
	}
	now := time.Now()
	r.Class, r.Error, r.Quota = Retry, said, quota(header, now)
	switch {
	case r.Status/100 == 2 && teamsThrottled(r.Response):
		r.Class, r.RetryAfter = Throttled, retryAfter(header, "", r.Quota, now)
	case r.Status/100 == 2:
		r.Class, r.Error = Delivered, ""
	case r.Status == http.StatusGone:
		r.Class, r.Error = Gone, said+" (the endpoint says that it is gone for good)"
	case r.Status/100 == 3:
		if location := header.Get("Location"); location != "" {
			r.Error = fmt.Sprintf("HTTP %d: a redirect to %s is not followed; put the final address into url", r.Status, clip(RedactURL(location), 300))
		}
	case r.Status == http.StatusTooManyRequests, r.Status == http.StatusServiceUnavailable && header.Get("Retry-After") != "":
		r.Class, r.RetryAfter = Throttled, retryAfter(header, r.Response, r.Quota, now)
	case r.Status >= 500:
		r.Outage = true
	}
}

// failed says what an exchange without a whole response means.
func (e *Endpoint) failed(parent context.Context, r *Result, ph phases, err error) {
	ph.copy(r)
	var forbidden *target.Forbidden
	if errors.As(err, &forbidden) && ph.down != nil {
		// Of a name's addresses one is not allowed, and another one is and may be up later.
		err = ph.down
	}
	switch {
	case parent.Err() != nil:
		r.Class, r.Error = Stopped, "stopped before the exchange ended"
	case errors.As(err, &forbidden):
		r.Class, r.Error = Dead, forbidden.Error()
	case offline(err, e.url.Hostname(), ph) && !connected():
		r.Class, r.Error = Offline, "this machine has no network: "+e.explain(err, ph)
	default:
		r.Class, r.Error, r.Outage = Retry, e.explain(err, ph), true
	}
}

// readBody reads what may be read of a response. One that is longer is cut off by
// closing it, which is no failure. The limit holds for what arrives and for what that
// decompresses to: gzip can make much of little, and nothing of any number of empty members.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil // its body is the connection itself, which no deadline bounds
	}
	body := io.LimitReader(resp.Body, maxResponse)
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = io.LimitReader(z, maxResponse)
	}
	return io.ReadAll(body)
}

// keep is the beginning of a response as valid, printable text, without what it echoes of
// the webhook's secrets. It looks beyond what is kept, so that no half of a secret is left.
func (e *Endpoint) keep(body []byte) string {
	text := e.scrub.Replace(string(body[:min(len(body), keepRunes*utf8.UTFMax+maxSecret)]))
	return strings.TrimSpace(clip(printable(text), keepRunes))
}

func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
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

// transcribe prints a request with secrets masked: the webhook's own headers may hold
// tokens, and the URL a path that is one.
func (e *Endpoint) transcribe(req *http.Request, body []byte) string {
	return fmt.Sprintf("POST %s\n%s\n%s", e.safe, headerLines(req.Header, func(name string) bool {
		_, own := e.header[name]
		return own && name != "Content-Type" && name != "User-Agent"
	}), body)
}
