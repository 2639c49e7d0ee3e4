package queue

import "strings"

// maxType is how much of an event's type is kept beside its payload, in bytes: every delivery
// has it, and is loaded with it.
const maxType = 512

// maxRecentText is how long an event's texts are in Recent, in bytes.
const maxRecentText = 512

// clip cuts the delivery to what a list shows. 0: not at all.
func (d *Delivery) clip(maxText int) {
	if maxText == 0 {
		return
	}
	for _, text := range []*string{&d.EventType, &d.URL, &d.ResponseBody, &d.Error} {
		*text = clipText(*text, maxText)
	}
	d.History, d.Replays = nil, nil
}

// clipText cuts a text to about so many bytes, and lets the rest of it go.
func clipText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
