// Package receiver is a webhook endpoint that checks what it gets, for trying things
// out: it verifies both kinds of signature and answers as it is told to.
package receiver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

// MaxBody bounds what is read of a request.
const MaxBody = 16 << 20

// Options say what to check and how to answer.
type Options struct {
	// Secrets are tried in turn; none: signatures are not checked.
	Secrets []sign.HMACKey
	// PublicKey, where set, is what a v1a signature must be of.
	PublicKey sign.PublicKey
	Status    int           // the answer, 0 for 200; 401 where a signature is wrong
	Delay     time.Duration // before the answer
	Fail      int           // the first so many requests are answered with 500
}

// Received is one request and what was found.
type Received struct {
	At      time.Time
	Method  string
	Path    string
	Header  http.Header
	Body    []byte
	Checked bool // signatures were asked for
	// IntelliDocs and Standard are nil where that signature is right.
	IntelliDocs error
	Standard    error
	Answer      int
}

// Verified reports whether both signatures were there and right.
func (r *Received) Verified() bool { return r.Checked && r.IntelliDocs == nil && r.Standard == nil }

// New makes a receiver that tells of each request before it answers.
func New(o Options, got func(Received)) http.Handler {
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		rec := Received{At: time.Now(), Method: r.Method, Path: r.URL.Path, Header: r.Header, Body: body}
		rec.check(&o)
		switch {
		case count.Add(1) <= int64(o.Fail):
			rec.Answer = http.StatusInternalServerError
		case rec.Checked && !rec.Verified():
			rec.Answer = http.StatusUnauthorized
		case o.Status != 0:
			rec.Answer = o.Status
		default:
			rec.Answer = http.StatusOK
		}
		if o.Delay > 0 {
			select {
			case <-time.After(o.Delay):
			case <-r.Context().Done():
			}
		}
		got(rec)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(rec.Answer)
		fmt.Fprintf(w, "{\"received\": %d}\n", len(body))
	})
}

func (r *Received) check(o *Options) {
	if len(o.Secrets) == 0 && o.PublicKey == nil {
		return
	}
	r.Checked = true
	if len(o.Secrets) > 0 {
		header := r.Header.Get(sign.HeaderIntelliDocs)
		r.IntelliDocs = sign.VerifyBody(o.Secrets, r.Body, header)
		if r.IntelliDocs == nil && r.isEvent() {
			r.IntelliDocs = Documented(o.Secrets, r.Body, header)
		}
	}
	r.Standard = sign.Verify(sign.Check{
		Header: r.Header, Body: r.Body, Secrets: o.Secrets, PublicKey: o.PublicKey, Now: r.At,
	})
}

// isEvent reports whether the body is an event as IntelliDocs sends it. What another format
// makes of one, such as Slack's, is not the JSON that Python would write, and need not be.
func (r *Received) isEvent() bool {
	var event struct {
		Type string `json:"event_type"`
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && media == "application/json" && json.Unmarshal(r.Body, &event) == nil && event.Type != ""
}

// Documented checks a signature the way IntelliDocs documents it: parse the body,
// write it again with json.dumps(payload, sort_keys=True), and compare the HMAC-SHA256
// of that. It also checks the bytes as they came; both must agree.
func Documented(secrets []sign.HMACKey, body []byte, header string) error {
	again, err := pyjson.Canonical(body)
	if err != nil {
		again = body
	}
	if err := sign.VerifyBody(secrets, body, header); err != nil {
		return err
	}
	if sign.VerifyBody(secrets, again, header) != nil {
		return errors.New("the " + sign.HeaderIntelliDocs + " header matches the body as it came, but not as json.dumps(payload, sort_keys=True) writes it: " +
			"a receiver that parses the body first would refuse it")
	}
	return nil
}
