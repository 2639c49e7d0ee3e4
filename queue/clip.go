package queue

import "strings"

// MaxType is how much of an event's type is kept beside its payload, in bytes: every delivery
// has it, and is loaded with it.
const MaxType = 512

// MaxRecentText is how long an event's texts are in Recent, in bytes.
const MaxRecentText = 512

// Clip cuts the delivery to what a list shows. 0: not at all.
func (d *Delivery) Clip(maxText int) {
	if maxText == 0 {
		return
	}
	for _, text := range []*string{&d.EventType, &d.URL, &d.ResponseBody, &d.Error} {
		*text = ClipText(*text, maxText)
	}
	d.History, d.Replays = nil, nil
}

// ClipText cuts a text to about so many bytes, and lets the rest of it go.
func ClipText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
