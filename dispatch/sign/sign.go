package sign

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The headers that signatures stand in, and what they are over.
const (
	HeaderIntelliDocs = "X-IntelliDocs-Signature"
	HeaderID          = "webhook-id"
	HeaderTimestamp   = "webhook-timestamp"
	HeaderSignature   = "webhook-signature"
)

// Signer signs for one webhook.
type Signer struct {
	Secrets []HMACKey // the current one first, then those that are going out of use
	Key     SigningKey
}

// Body is the X-IntelliDocs-Signature of a body by the current secret, "" where there is none.
func (s *Signer) Body(body []byte) string {
	if len(s.Secrets) == 0 {
		return ""
	}
	return hub(s.Secrets[0], body)
}

// Standard is the webhook-signature header: an entry by each secret in use, and one by
// the signing key; "" where there is neither.
func (s *Signer) Standard(id string, at time.Time, body []byte) string {
	before := prefix(id, strconv.FormatInt(at.Unix(), 10))
	var entries []string
	for _, secret := range s.Secrets {
		if secret.usable(at) {
			entries = append(entries, "v1,"+base64.StdEncoding.EncodeToString(mac(secret, before, body)))
		}
	}
	if s.Key.Set() {
		signed := slices.Concat(before, body)
		entries = append(entries, "v1a,"+base64.StdEncoding.EncodeToString(ed25519.Sign(s.Key.Reveal(), signed)))
	}
	return strings.Join(entries, " ")
}

func hub(s HMACKey, body []byte) string { return "sha256=" + hex.EncodeToString(mac(s, body)) }

func mac(s HMACKey, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, s.Reveal())
	for _, part := range parts {
		m.Write(part)
	}
	return m.Sum(nil)
}

// prefix is what is signed before the body.
func prefix(id, timestamp string) []byte { return []byte(id + "." + timestamp + ".") }

// VerifyBody checks an X-IntelliDocs-Signature over the body as it came.
func VerifyBody(secrets []HMACKey, body []byte, header string) error {
	if header == "" {
		return fmt.Errorf("there is no %s header", HeaderIntelliDocs)
	}
	for _, s := range secrets {
		if hmac.Equal([]byte(hub(s, body)), []byte(header)) {
			return nil
		}
	}
	return fmt.Errorf("the %s header does not match the body", HeaderIntelliDocs)
}

// Check is what Verify needs of a request.
type Check struct {
	Header    http.Header
	Body      []byte
	Secrets   []HMACKey
	PublicKey PublicKey
	Now       time.Time
	// Tolerance is how far the timestamp may be from Now, either way; 0: any.
	Tolerance time.Duration
}

// Verify checks a request's Standard Webhooks signature: one entry of it must be right.
func Verify(c Check) error {
	id, stamp, header := c.Header.Get(HeaderID), c.Header.Get(HeaderTimestamp), c.Header.Get(HeaderSignature)
	for _, name := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
		if c.Header.Get(name) == "" {
			return fmt.Errorf("there is no %s header", name)
		}
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("the %s header is not a number of seconds", HeaderTimestamp)
	}
	if age := c.Now.Sub(time.Unix(seconds, 0)); c.Tolerance > 0 && age.Abs() > c.Tolerance {
		return fmt.Errorf("the %s header is %s off, more than %s: is it a replay, or is a clock wrong?", HeaderTimestamp, age.Abs().Round(time.Second), c.Tolerance)
	}
	before := prefix(id, stamp)
	for entry := range strings.FieldsSeq(header) {
		version, encoded, _ := strings.Cut(entry, ",")
		sig, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			continue
		}
		switch version {
		case "v1":
			for _, s := range c.Secrets {
				if s.usable(c.Now) && hmac.Equal(mac(s, before, c.Body), sig) {
					return nil
				}
			}
		case "v1a":
			if c.PublicKey != nil && ed25519.Verify(ed25519.PublicKey(c.PublicKey), slices.Concat(before, c.Body), sig) {
				return nil
			}
		}
	}
	return errors.New("no entry of the " + HeaderSignature + " header matches the body, its id and its timestamp")
}
