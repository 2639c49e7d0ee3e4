package parser

import (
	"fmt"
	"time"
)

// mainObject is what an event of a known type is about.
var mainObject = map[string]string{
	"deletion_request_created": "deletion_request",
	"suggestion_auto_applied":  "document",
	"scan_completed":           "document",
}

// accept makes an event of an object that is meant as one.
func accept(obj map[string]any, recorded time.Time, o Options) Result {
	typ, isString := obj["event_type"].(string)
	switch _, has := obj["event_type"]; {
	case !has:
		return reject("the event has no event_type")
	case !isString:
		return reject("event_type is not a string")
	case typ == "":
		return reject("event_type is empty")
	}
	if recorded.IsZero() {
		recorded = o.RecordTime
	}
	if v, has := obj["source"]; !has || v == nil {
		obj["source"] = Source
	}
	stamp, has := obj["timestamp"]
	missing := !has || stamp == nil
	if missing {
		delete(obj, "timestamp")
		if !recorded.IsZero() {
			obj["timestamp"] = recorded.UTC().Format(time.RFC3339Nano)
		}
	}
	body := encode(nil, obj)
	e := Event{Type: typ, Time: recorded, ID: identify(obj, body, o.Position)}
	// The time of reading is no part of what identifies the event.
	if missing && recorded.IsZero() && !o.Now.IsZero() {
		obj["timestamp"] = o.Now.UTC().Format(time.RFC3339Nano)
		body = encode(nil, obj)
	}
	e.Body = body
	if main := mainObject[typ]; main != "" {
		_, has := obj[main].(map[string]any)
		e.Incomplete = !has
	}
	return Result{Verdict: Accept, Event: e}
}

func reject(format string, args ...any) Result {
	return Result{Verdict: Reject, Reason: fmt.Sprintf(format, args...)}
}

func skip(reason string) Result { return Result{Verdict: Skip, Reason: reason} }
