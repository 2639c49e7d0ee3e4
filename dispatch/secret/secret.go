// Package secret keeps secrets out of whatever is printed, logged or encoded.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// Mask stands where a secret would.
const Mask = "[secret]"

// Value is a secret, a text or a key. Whatever prints it writes Mask, by every verb of fmt,
// in JSON and in the log; only Reveal returns it. The zero Value holds nothing.
type Value[T ~string | ~[]byte] struct {
	// A pointer, since fmt prints the unexported fields of whatever holds a Value without
	// asking it; and to a string, since of pointers to slices it may print the elements.
	text *string
}

// Of returns v as a secret.
func Of[T ~string | ~[]byte](v T) Value[T] {
	text := string(v)
	return Value[T]{&text}
}

// Reveal returns the secret itself.
func (v Value[T]) Reveal() T {
	if v.text == nil {
		return T("")
	}
	return T(*v.text)
}

// Set reports whether there is a secret that is not empty.
func (v Value[T]) Set() bool { return v.text != nil && *v.text != "" }

// Format implements fmt.Formatter, for every verb.
func (Value[T]) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Mask) }

// String implements fmt.Stringer.
func (Value[T]) String() string { return Mask }

// LogValue implements slog.LogValuer.
func (Value[T]) LogValue() slog.Value { return slog.StringValue(Mask) }

// MarshalText implements encoding.TextMarshaler.
func (Value[T]) MarshalText() ([]byte, error) { return []byte(Mask), nil }
