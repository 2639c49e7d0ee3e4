package parser

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

// authenticate takes the MAC out of an event and returns why it is not the producer's, "" where
// it is: the hex HMAC-SHA256, by the key, of the event's canonical bytes without it.
func authenticate(obj *pyjson.Object, key []byte) (why string) {
	text, isString := obj.Str("mac")
	switch {
	case !obj.Has("mac"):
		return "the event has no MAC, and this source takes only events with one: is PAPERLESS_AI_EVENTS_KEY_FILE set for IntelliDocs, and who else writes here?"
	case !isString:
		return "the event's mac is not a string but " + pyjson.Kind(obj.Get("mac"))
	}
	sent, err := hex.DecodeString(string(text))
	obj.Remove("mac")
	h := hmac.New(sha256.New, key)
	h.Write(obj.Text)
	if err != nil || !hmac.Equal(sent, h.Sum(nil)) {
		return "the event's MAC is not one of this source's key: IntelliDocs has another key, or somebody else wrote the event"
	}
	return ""
}
