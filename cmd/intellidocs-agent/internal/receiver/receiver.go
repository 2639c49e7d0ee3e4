// Package receiver is a webhook endpoint that checks what it gets, for trying things
// out: it verifies both kinds of signature and answers as it is told to.
package receiver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/parser"
)

// MaxBody bounds what is read of a request.
const MaxBody = 16 << 20

// Options say what to check and how to answer.
type Options struct {
	// Secrets are tried in turn; none: signatures are not checked.
	Secrets []sign.Secret
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

// Verified tells whether both signatures were there and right.
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
		r.IntelliDocs = Documented(o.Secrets, r.Body, r.Header.Get(sign.HeaderIntelliDocs))
	}
	r.Standard = sign.Verify(sign.Check{
		Header: r.Header, Body: r.Body, Secrets: o.Secrets, PublicKey: o.PublicKey, Now: r.At,
	})
}

// Documented checks a signature the way IntelliDocs documents it: parse the body,
// write it again with json.dumps(payload, sort_keys=True), and compare the HMAC-SHA256
// of that. It also checks the bytes as they came; both must agree.
func Documented(secrets []sign.Secret, body []byte, header string) error {
	if header == "" {
		return errors.New("there is no " + sign.HeaderIntelliDocs + " header")
	}
	again, err := parser.Canonical(body)
	if err != nil {
		// A format such as Slack's is signed as it is sent.
		again = body
	}
	for _, s := range secrets {
		raw, dumped := hubSignature(s, body), hubSignature(s, again)
		if hmac.Equal([]byte(raw), []byte(header)) && hmac.Equal([]byte(dumped), []byte(header)) {
			return nil
		}
	}
	return errors.New("the " + sign.HeaderIntelliDocs + " header does not match the body")
}

func hubSignature(s sign.Secret, body []byte) string {
	mac := hmac.New(sha256.New, s.Bytes())
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
