package parser

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

// id is "evt_" and the first 32 hex digits of a SHA-256 over what identifies an event.
// The kind keeps an event_id, a position and a payload from ever meaning one another.
func id(kind string, parts ...[]byte) string {
	h := sha256.New()
	h.Write([]byte(kind))
	for _, p := range parts {
		h.Write([]byte{0})
		h.Write(p)
	}
	return "evt_" + hex.EncodeToString(h.Sum(nil)[:16])
}

// identify names an event: by where it was read if that is wanted, so that nothing is
// merged; else by its own event_id (a non-empty string, or a number), else by its canonical
// payload.
func identify(obj *pyjson.Object, position string) string {
	if position != "" {
		return id("position", []byte(position), obj.Text)
	}
	own := obj.Get("event_id")
	if text, ok := pyjson.Unquote(own); ok && len(text) > 0 {
		return id("event_id", text)
	}
	if pyjson.Kind(own) == "a number" {
		return id("event_id", own) // of 7 and "7" the payloads tell that they are two
	}
	return id("payload", obj.Text)
}

// payloadID names an event that has an event_id by its payload as its producer wrote it, "" for
// others: see Event.PayloadID.
func payloadID(obj *pyjson.Object, position string) string {
	own := obj.Get("event_id")
	if text, ok := pyjson.Unquote(own); position != "" || (!ok || len(text) == 0) && pyjson.Kind(own) != "a number" {
		return ""
	}
	return id("payload", obj.Text)
}
