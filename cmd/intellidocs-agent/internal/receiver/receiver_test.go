package receiver

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/format"
	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

// deliver sends a body in a format to a receiver and returns what that found.
func deliver(t *testing.T, spec format.Spec, body string) Received {
	t.Helper()
	secret, err := sign.ParseSecret("a secret")
	if err != nil {
		t.Fatal(err)
	}
	renderer, err := format.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan Received, 1)
	s := httptest.NewServer(New(Options{Secrets: []sign.HMACKey{secret}}, func(r Received) { got <- r }))
	defer s.Close()
	e, err := send.New(send.Config{
		Webhook: "test", URL: s.URL, Timeout: 10 * time.Second, Signer: sign.Signer{Secrets: []sign.HMACKey{secret}},
		Render: func(m send.Message) ([]byte, string, error) {
			return renderer.Render(format.Input{EventID: m.EventID, EventType: m.EventType, DeliveryID: m.DeliveryID, Body: m.Body})
		},
	}, target.Policy{Schemes: []string{"http"}, AllowInternal: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.Send(t.Context(), send.Message{
		DeliveryID: "dlv_1", EventID: "evt_1", EventType: "scan_completed", Attempt: 1, TraceID: strings.Repeat("a", 32), Body: []byte(body),
	})
	return <-got
}

const event = `{"document": {"id": 1, "title": "M\u00fcll"}, "event_type": "scan_completed"}`

func TestReceiver_EveryFormatsSignatureVerifies(t *testing.T) {
	for _, spec := range []format.Spec{
		{Format: "json"},
		{Format: "slack"},
		{Format: "discord"},
		{Format: "teams"},
		{Format: "cloudevents"},
		{Format: "template", Template: `{"z": {{ .document.title }}, "a": 1}`},
		{Format: "template", Template: `{{ .document.title }}`, ContentType: "text/plain"},
	} {
		if r := deliver(t, spec, event); !r.Verified() || r.Answer != 200 {
			t.Errorf("%+v: %d, %v, %v", spec, r.Answer, r.IntelliDocs, r.Standard)
		}
	}
}

func TestReceiver_AnEventThatPythonWouldWriteOtherwiseIsNoticed(t *testing.T) {
	r := deliver(t, format.Spec{}, `{"event_type":"scan_completed","document":{"id":1}}`)
	if r.Verified() || r.Standard != nil || r.IntelliDocs == nil || !strings.Contains(r.IntelliDocs.Error(), "not as json.dumps") {
		t.Errorf("%v, %v", r.IntelliDocs, r.Standard)
	}
}
