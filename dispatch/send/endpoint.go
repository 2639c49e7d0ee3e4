package send

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

// UserAgent is IntelliDocs' own, so that receivers need no change.
const UserAgent = "IntelliDocs-AI-Webhook/1.0"

// Render makes the body that is sent of an event, and says what it is. The same message
// must always give the same bytes: a retry renders again.
type Render func(m Message) (body []byte, contentType string, err error)

// Config is one webhook's endpoint.
type Config struct {
	Webhook     string // its name, for errors
	URL         string
	Headers     map[string]string
	Signer      sign.Signer
	Timeout     time.Duration // of a whole attempt, from the name's resolution to the body's end
	TLS         TLS
	Render      Render // nil: the event as it is stored
	Concurrency int    // connections at once; 0: no bound
	// Resolver resolves names; nil: the system's. What it answers is judged like any other's.
	Resolver *net.Resolver
}

// Endpoint sends to one webhook.
type Endpoint struct {
	cfg    Config
	url    *url.URL
	header http.Header // the webhook's own
	policy target.Policy
	client *client
	bare   *http.Request     // what all requests have in common
	safe   string            // the URL as it may be shown
	scrub  *strings.Replacer // takes out of a response what a receiver echoes of our secrets
}

// Mistake is what is wrong with a part of a Config.
type Mistake struct {
	Key string // as agent.toml has it: url, timeout, headers.NAME, tls.ca_file
	Err error
}

// Mistakes are everything that is wrong with a Config.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	texts := make([]string, len(m))
	for i, one := range m {
		texts[i] = one.Key + ": " + one.Err.Error()
	}
	return strings.Join(texts, "; ")
}

func (m *Mistakes) add(key, text string) { *m = append(*m, Mistake{key, errors.New(text)}) }

// New makes an endpoint. Its error is Mistakes; a target that the policy forbids is none,
// since an attempt says so.
func New(cfg Config, policy target.Policy, log *slog.Logger) (*Endpoint, error) {
	var wrong Mistakes
	e := &Endpoint{cfg: cfg, url: parseURL(cfg.URL, &wrong), header: headerOf(cfg.Headers, &wrong), policy: policy, safe: RedactURL(encodeURL(cfg.URL))}
	if cfg.Timeout <= 0 {
		wrong.add("timeout", "it must be more than nothing")
	}
	if user := e.url.User; user != nil && e.header.Get("Authorization") == "" {
		password, _ := user.Password()
		credentials := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		e.header.Set("Authorization", "Basic "+credentials)
	}
	var err error
	if e.client, err = newClient(&cfg, e.url, &e.policy, log); err != nil {
		var more Mistakes
		if !errors.As(err, &more) {
			return nil, err
		}
		wrong = append(wrong, more...)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	if e.bare, err = http.NewRequest(http.MethodPost, e.url.String(), nil); err != nil {
		return nil, Mistakes{{"url", errors.New("it cannot be used")}} // the error's text has the URL
	}
	e.bare.URL = asWritten(e.url, e.client.proxy != nil && e.url.Scheme == "http")
	e.scrub = scrubber(e.url, e.header)
	return e, nil
}

// parseURL reads a target. A URL that is none is empty, so that the rest can be judged.
func parseURL(text string, wrong *Mistakes) *url.URL {
	u, err := url.Parse(encodeURL(text))
	switch {
	// The parser's own error would print the URL, which may hold a secret.
	case err != nil:
		wrong.add("url", "it is not a URL such as https://example.org/hook")
		return &url.URL{}
	case u.Scheme != "http" && u.Scheme != "https":
		wrong.add("url", "it must begin with https:// or http://")
	case u.Hostname() == "":
		wrong.add("url", "it names no host")
	case !validPort(u.Port()):
		wrong.add("url", "its port must be from 1 to 65535")
	case u.Fragment != "":
		wrong.add("url", "a part after # is never sent; leave it out")
	}
	return u
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

func headerOf(headers map[string]string, wrong *Mistakes) http.Header {
	h, seen := http.Header{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key, lower := "headers."+name, strings.ToLower(name)
		switch {
		case seen[lower] != "":
			wrong.add(key, "this is the same header as "+seen[lower])
		case !httpguts.ValidHeaderFieldName(name):
			// A whole header, with a secret, may have come to stand here.
			wrong.add("headers", "there is a name that no header can have; write Name = \"value\"")
		case !httpguts.ValidHeaderFieldValue(headers[name]):
			wrong.add(key, "the value has characters that a header cannot have, such as a line break")
		case Reserved(name):
			wrong.add(key, "this header is the agent's own and cannot be replaced")
		default:
			seen[lower] = name
			h.Set(name, headers[name])
		}
	}
	return h
}

// Reserved reports whether a header is the agent's own: what signatures, identity and the
// protocol stand on. An underscore counts as a hyphen, since CGI and WSGI make the same
// variable of both.
func Reserved(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	return strings.HasPrefix(name, "x-intellidocs-") || strings.HasPrefix(name, "webhook-") || strings.HasPrefix(name, "proxy-") ||
		slices.Contains([]string{
			"host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "keep-alive",
			"traceparent", "tracestate", "accept-encoding", "expect", "idempotency-key", "x-idempotency-key",
		}, name)
}

// URL is where it sends, as it may be shown.
func (e *Endpoint) URL() string { return e.safe }

// Allowed tells why its URL is refused, nil where it is not. What its name leads to is
// judged when it is dialled.
func (e *Endpoint) Allowed() error { return e.policy.CheckURL(e.url) }

// Close closes idle connections.
func (e *Endpoint) Close() { e.client.close() }

// Send makes one attempt. It ends when ctx does, with Stopped.
func (e *Endpoint) Send(ctx context.Context, m Message) Result {
	return e.exchange(ctx, m, nil)
}

// render makes the body of an attempt's request, and says what it is.
func (e *Endpoint) render(m Message) (body []byte, contentType string, err error) {
	if e.cfg.Render == nil {
		return m.Body, "application/json", nil
	}
	return e.cfg.Render(m)
}

// request makes the request of an attempt at a moment.
func (e *Endpoint) request(ctx context.Context, m Message, body []byte, contentType string, at time.Time) *http.Request {
	req := e.bare.WithContext(ctx)
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) {
		if len(body) == 0 {
			return http.NoBody, nil
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	req.Body, _ = req.GetBody() // it never fails
	h := make(http.Header, 12+len(e.header))
	req.Header = h
	h.Set("Content-Type", contentType)
	h.Set("User-Agent", UserAgent)
	h.Set("Accept-Encoding", "gzip")
	for name, values := range e.header {
		h[name] = values
	}
	// These names are sent as they are documented, not as Go would capitalise them.
	h["X-IntelliDocs-Event"] = []string{headerText(m.EventType)}
	h["X-IntelliDocs-Delivery"] = []string{m.DeliveryID}
	h["X-IntelliDocs-Attempt"] = []string{strconv.Itoa(m.Attempt)}
	h["webhook-id"] = []string{m.EventID}
	h["webhook-timestamp"] = []string{strconv.FormatInt(at.Unix(), 10)}
	h["traceparent"] = []string{traceparent(m)}
	// Without a value it is not sent. It lets the transport try again at once where a kept
	// connection turns out to have been closed: receivers tell repeats by webhook-id.
	h["Idempotency-Key"] = nil
	if sig := e.cfg.Signer.Body(body); sig != "" {
		h[sign.HeaderIntelliDocs] = []string{sig}
	}
	if sig := e.cfg.Signer.Standard(m.EventID, at, body); sig != "" {
		h["webhook-signature"] = []string{sig}
	}
	return req
}

// maxHeader bounds what an event's type may take of a header.
const maxHeader = 256

// headerText makes text of unknown origin fit for a header: what is not printable ASCII
// is percent-encoded, and its length is bounded.
func headerText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s) && b.Len() < maxHeader; i++ {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' || c == ' ' && i > 0 && i < len(s)-1 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// traceparent is W3C Trace Context's: the event's trace, and the span of the attempt.
func traceparent(m Message) string {
	return "00-" + m.TraceID + "-" + SpanID(m.TraceID, m.DeliveryID, m.Attempt) + "-01"
}

// EventSpanID is the span of an event's reading, the parent of those of its attempts. Spans
// follow from what they are of, so that a process started later knows them too.
func EventSpanID(traceID string) string { return SpanID(traceID, "", 0) }

// SpanID is the span of an attempt of a delivery, 16 hex digits.
func SpanID(traceID, deliveryID string, attempt int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", traceID, deliveryID, attempt))
	sum[0] |= 1 // a span of zeros is not valid
	return hex.EncodeToString(sum[:8])
}
