// Package sign makes and checks the signatures on a webhook's body: IntelliDocs' own
// (sha256= and the hex HMAC-SHA256 of the body) and those of Standard Webhooks 1.0.0,
// symmetric (v1) and ed25519 (v1a).
//
// Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
package sign

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// HMACKey is the key of a shared secret. It never prints itself.
type HMACKey struct {
	// A function, since fmt prints the unexported fields of whatever holds an HMACKey without
	// asking it, and follows pointers.
	key func() []byte
	// Expires is when it is no longer used, zero for never.
	Expires time.Time
}

const redacted = "[secret]"

// ParseSecret reads a secret: one that begins with whsec_ is base64-decoded, any other
// is used as its UTF-8 bytes.
func ParseSecret(text string) (HMACKey, error) {
	encoded, ok := strings.CutPrefix(text, "whsec_")
	switch {
	case text == "":
		return HMACKey{}, errors.New("the secret is empty")
	case !ok:
		return HMACKey{key: func() []byte { return []byte(text) }}, nil
	}
	key, err := decode64(encoded)
	if err != nil || len(key) == 0 {
		return HMACKey{}, errors.New("a secret that begins with whsec_ must continue in base64")
	}
	return HMACKey{key: func() []byte { return key }}, nil
}

// Until is the key with the moment from which it is no longer used.
func (s HMACKey) Until(t time.Time) HMACKey {
	s.Expires = t
	return s
}

// Bytes is the key itself.
func (s HMACKey) Bytes() []byte {
	if s.key == nil {
		return nil
	}
	return s.key()
}

func (s HMACKey) usable(now time.Time) bool { return s.Expires.IsZero() || now.Before(s.Expires) }

// Format, LogValue and MarshalText keep the key out of whatever is printed, by every verb.
func (HMACKey) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (HMACKey) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (HMACKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// SigningKey is a private ed25519 key. It never prints itself.
type SigningKey struct {
	key func() ed25519.PrivateKey // as in HMACKey
}

// ParseSigningKey reads whsk_ and the base64 of an ed25519 private key: 64 bytes, or its seed of 32.
func ParseSigningKey(text string) (SigningKey, error) {
	encoded, ok := strings.CutPrefix(text, "whsk_")
	if !ok {
		return SigningKey{}, errors.New("a signing key begins with whsk_")
	}
	raw, err := decode64(encoded)
	switch {
	case err == nil && len(raw) == ed25519.PrivateKeySize:
		key := ed25519.PrivateKey(raw)
		if !ed25519.NewKeyFromSeed(key.Seed()).Equal(key) {
			return SigningKey{}, errors.New("the signing key's two halves do not belong together")
		}
		return signingKey(key), nil
	case err == nil && len(raw) == ed25519.SeedSize:
		return signingKey(ed25519.NewKeyFromSeed(raw)), nil
	}
	return SigningKey{}, fmt.Errorf("a signing key is whsk_ and the base64 of %d bytes (or of the seed's %d)", ed25519.PrivateKeySize, ed25519.SeedSize)
}

func signingKey(key ed25519.PrivateKey) SigningKey {
	return SigningKey{func() ed25519.PrivateKey { return key }}
}

// Set reports whether there is a key.
func (k SigningKey) Set() bool { return k.key != nil }

// Public is the key that receivers check with, as whpk_….
func (k SigningKey) Public() string {
	return "whpk_" + base64.StdEncoding.EncodeToString(k.key().Public().(ed25519.PublicKey))
}

// Format, LogValue and MarshalText keep the key out of whatever is printed, by every verb.
func (SigningKey) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (SigningKey) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (SigningKey) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// PublicKey checks v1a signatures.
type PublicKey ed25519.PublicKey

// ParsePublicKey reads whpk_ and the base64 of an ed25519 public key.
func ParsePublicKey(text string) (PublicKey, error) {
	encoded, ok := strings.CutPrefix(text, "whpk_")
	raw, err := decode64(encoded)
	if !ok || err != nil || len(raw) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("a public key is whpk_ and the base64 of %d bytes", ed25519.PublicKeySize)
	}
	return PublicKey(raw), nil
}

func decode64(s string) ([]byte, error) {
	s = strings.TrimRight(strings.TrimSpace(s), "=")
	return base64.RawStdEncoding.DecodeString(s)
}
