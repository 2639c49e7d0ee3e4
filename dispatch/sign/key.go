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
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/secret"
)

// HMACKey is the key of a shared secret. It never prints itself.
type HMACKey struct {
	secret.Value[[]byte]
	// Expires is when it is no longer used, zero for never.
	Expires time.Time
}

// ParseSecret reads a secret: one that begins with whsec_ is base64-decoded, any other
// is used as its UTF-8 bytes.
func ParseSecret(text string) (HMACKey, error) {
	encoded, ok := strings.CutPrefix(text, "whsec_")
	switch {
	case text == "":
		return HMACKey{}, errors.New("the secret is empty")
	case !ok:
		return HMACKey{Value: secret.Of([]byte(text))}, nil
	}
	key, err := decode64(encoded)
	if err != nil || len(key) == 0 {
		return HMACKey{}, errors.New("a secret that begins with whsec_ must continue in base64")
	}
	return HMACKey{Value: secret.Of(key)}, nil
}

// Until is the key with the moment from which it is no longer used.
func (s HMACKey) Until(t time.Time) HMACKey {
	s.Expires = t
	return s
}

func (s HMACKey) usable(now time.Time) bool { return s.Expires.IsZero() || now.Before(s.Expires) }

// SigningKey is a private ed25519 key. It never prints itself.
type SigningKey struct {
	secret.Value[ed25519.PrivateKey]
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
		return SigningKey{secret.Of(key)}, nil
	case err == nil && len(raw) == ed25519.SeedSize:
		return SigningKey{secret.Of(ed25519.NewKeyFromSeed(raw))}, nil
	}
	return SigningKey{}, fmt.Errorf("a signing key is whsk_ and the base64 of %d bytes (or of the seed's %d)", ed25519.PrivateKeySize, ed25519.SeedSize)
}

// Public is the key that receivers check with, as whpk_….
func (k SigningKey) Public() string {
	return "whpk_" + base64.StdEncoding.EncodeToString(k.Reveal().Public().(ed25519.PublicKey))
}

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
