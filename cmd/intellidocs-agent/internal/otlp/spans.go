package otlp

import (
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// maxText bounds a text of a span, in bytes.
const maxText = 256

// Queued takes the spans of an event that was committed: that it was read, from its reading
// until it was durable, and in it the commit. Attempts are children of the first.
func (e *Exporter) Queued(n *queue.NewEvent, committing, committed time.Time) {
	if e == nil || e.traces == nil {
		return
	}
	id, ok := traceID(n.TraceID)
	if !ok {
		return
	}
	var read attributes
	read.text("messaging.system", "intellidocs")
	read.text("messaging.operation.name", "read")
	read.text("messaging.operation.type", "receive")
	read.text("messaging.destination.name", n.Source)
	read.text("messaging.message.id", n.ID)
	read.number("messaging.message.body.size", len(n.Body))
	read.text("intellidocs.event.type", n.Type)
	read.text("log.file.path", n.Path)
	root := send.EventSpanID(n.TraceID)
	e.add(&trace.Span{
		TraceId: id, SpanId: bytesOf(root), Name: "read " + clip(n.Source), Kind: trace.Span_SPAN_KIND_CONSUMER,
		StartTimeUnixNano: nanos(n.ReadAt), EndTimeUnixNano: nanos(committed), Attributes: read,
	})
	var queued attributes
	queued.text("messaging.system", "intellidocs_agent")
	queued.text("messaging.operation.name", "enqueue")
	queued.text("messaging.operation.type", "send")
	queued.text("messaging.destination.name", "deliveries")
	queued.text("messaging.message.id", n.ID)
	queued.number("intellidocs.deliveries", len(n.Webhooks))
	e.add(&trace.Span{
		TraceId: id, SpanId: bytesOf(send.SpanID(n.TraceID, "queued", 0)), ParentSpanId: bytesOf(root),
		Name: "enqueue deliveries", Kind: trace.Span_SPAN_KIND_PRODUCER,
		StartTimeUnixNano: nanos(committing), EndTimeUnixNano: nanos(committed), Attributes: queued,
	})
}

// Attempted takes the span of an attempt, by the ID that the receiver was told in traceparent.
func (e *Exporter) Attempted(d queue.Delivery, traceOf string, o queue.Outcome) {
	if e == nil || e.traces == nil {
		return
	}
	id, ok := traceID(traceOf)
	if !ok {
		return
	}
	at := o.Attempt
	s := &trace.Span{
		TraceId: id, SpanId: bytesOf(send.SpanID(traceOf, d.ID, at.N)), ParentSpanId: bytesOf(send.EventSpanID(traceOf)),
		Name: http.MethodPost, Kind: trace.Span_SPAN_KIND_CLIENT,
		StartTimeUnixNano: nanos(at.At), EndTimeUnixNano: nanos(at.At.Add(at.Took)), Status: &trace.Status{},
	}
	var a attributes
	a.text("http.request.method", http.MethodPost)
	a.text("url.full", o.URL) // without credentials or secret parts
	if u, err := url.Parse(o.URL); err == nil && u.Hostname() != "" {
		a.text("server.address", u.Hostname())
		if port, err := target.Port(u); err == nil {
			a.number("server.port", port)
		}
	}
	if host, port, err := net.SplitHostPort(at.Remote); err == nil {
		n, _ := strconv.Atoi(port)
		a.text("network.peer.address", host)
		a.number("network.peer.port", n)
	}
	if at.Status != 0 {
		a.number("http.response.status_code", at.Status)
	}
	if at.N > 1 {
		a.number("http.request.resend_count", at.N-1)
	}
	a.text("intellidocs.webhook", d.Webhook)
	a.text("intellidocs.delivery.id", d.ID)
	a.text("intellidocs.delivery.status", string(o.Status))
	a.text("intellidocs.event.type", d.EventType)
	a.text("intellidocs.outcome", at.Outcome)
	if o.Status != queue.Success {
		s.Status.Code = trace.Status_STATUS_CODE_ERROR
		reason := "_OTHER"
		if at.Status != 0 {
			reason = strconv.Itoa(at.Status) // what the receiver answered is in the agent, for those who may see it
		} else {
			s.Status.Message = clip(at.Error)
		}
		a.text("error.type", reason)
	}
	s.Attributes = a
	s.Events = steps(at)
	e.add(s)
}

// steps are when each part of an exchange was done.
func steps(a queue.Attempt) (events []*trace.Span_Event) {
	for _, step := range []struct {
		name  string
		after time.Duration
	}{{"dns", a.DNS}, {"connect", a.Connect}, {"tls", a.TLS}, {"first byte", a.FirstByte}} {
		if step.after > 0 {
			events = append(events, &trace.Span_Event{Name: step.name, TimeUnixNano: nanos(a.At.Add(step.after))})
		}
	}
	return events
}

// traceID reads an event's trace, 32 hex digits.
func traceID(text string) ([]byte, bool) {
	id := bytesOf(text)
	return id, len(id) == 16
}

func bytesOf(digits string) []byte {
	b, _ := hex.DecodeString(digits)
	return b
}

func nanos(t time.Time) uint64 { return uint64(t.UnixNano()) }

// clip bounds a text and makes it what protobuf takes.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.ToValidUTF8(s[:min(len(s), maxText)], "")
}

// attributes gathers those of a span.
type attributes []*common.KeyValue

func (a *attributes) text(key, value string) { a.whole(key, clip(value)) }

// whole adds a text that the configuration bounds, and that tells series apart.
func (a *attributes) whole(key, value string) {
	value = strings.ToValidUTF8(value, "\uFFFD")
	*a = append(*a, &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}})
}

func (a *attributes) number(key string, value int) {
	*a = append(*a, &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(value)}}})
}
