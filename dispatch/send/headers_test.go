package send

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
)

// onTheWire sends over plain TCP and returns the request as it came.
func onTheWire(t *testing.T, cfg Config, m Message) (head []string, body string) {
	t.Helper()
	var length int
	url := raw(t, func(c net.Conn, h []string, r *bufio.Reader) {
		head = h
		for _, line := range h {
			_, _ = fmt.Sscanf(line, "Content-Length: %d", &length)
		}
		b := make([]byte, length)
		_, _ = io.ReadFull(r, b)
		body = string(b)
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	cfg.URL = strings.Replace(url, "http://", "http://"+cfg.URL, 1) + "/hook?x=1"
	if r := endpoint(t, cfg, open()).Send(t.Context(), m); r.Class != Delivered {
		t.Fatalf("%+v", r)
	}
	return head, body
}

func TestSend_HeadersAreByteExactOnTheWire(t *testing.T) {
	key, err := sign.ParseSigningKey("whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==")
	if err != nil {
		t.Fatal(err)
	}
	m := sample()
	signer := sign.Signer{Secrets: []sign.HMACKey{hmacKey(t, "now"), hmacKey(t, "before").Until(time.Now().Add(time.Hour))}, Key: key}
	head, body := onTheWire(t, Config{Headers: map[string]string{"x-team": "docs"}, Signer: signer}, m)
	if body != string(m.Body) {
		t.Errorf("body %q", body)
	}
	b64 := `[A-Za-z0-9+/]+={0,2}`
	want := []string{
		`POST /hook\?x=1 HTTP/1\.1`, `Host: 127\.0\.0\.1:\d+`, `Content-Length: 54`, `Content-Type: application/json`, `User-Agent: IntelliDocs-AI-Webhook/1\.0`,
		`X-IntelliDocs-Event: scan_completed`, `X-IntelliDocs-Delivery: dlv_1`, `X-IntelliDocs-Attempt: 2`,
		regexp.QuoteMeta("X-IntelliDocs-Signature: " + signer.Body(m.Body)),
		`webhook-id: evt_0123456789abcdef0123456789abcdef`, `webhook-timestamp: \d{10}`, `webhook-signature: v1,` + b64 + ` v1,` + b64 + ` v1a,` + b64,
		`traceparent: 00-` + traceID + `-[0-9a-f]{16}-01`, `X-Team: docs`, `Accept-Encoding: gzip`,
	}
	for _, w := range want {
		if !slices.ContainsFunc(head, regexp.MustCompile("^"+w+"$").MatchString) {
			t.Errorf("no line is %s", w)
		}
	}
	if len(head) != len(want) {
		t.Errorf("%d lines, want %d:\n%s", len(head), len(want), strings.Join(head, "\n"))
	}
}

func TestSend_WithoutASecretIsUnsigned(t *testing.T) {
	head, _ := onTheWire(t, Config{}, sample())
	for _, line := range head {
		if strings.Contains(strings.ToLower(line), "signature") {
			t.Error(line)
		}
	}
}

func TestSend_TheURLsUserIsSentAsBasicAuthorization(t *testing.T) {
	head, _ := onTheWire(t, Config{URL: "ann:s%3Aecret@"}, sample())
	if !slices.Contains(head, "Authorization: Basic YW5uOnM6ZWNyZXQ=") {
		t.Error(head)
	}
}

func TestSend_AnEventTypeOfAnyTextIsOneHeaderLine(t *testing.T) {
	for eventType, want := range map[string]string{
		"a b":                     "a b",
		" a ":                     "%20a%20",
		"prüfung":                 "pr%C3%BCfung",
		"x\r\nEvil: 1":            "x%0D%0AEvil: 1",
		"100%":                    "100%25",
		"\x00\x7f":                "%00%7F",
		strings.Repeat("a", 5000): strings.Repeat("a", maxHeader),
	} {
		m := sample()
		m.EventType = eventType
		head, _ := onTheWire(t, Config{}, m)
		if !slices.Contains(head, "X-IntelliDocs-Event: "+want) {
			t.Errorf("%.20q: %q", eventType, head)
		}
		if slices.ContainsFunc(head, func(l string) bool { return strings.HasPrefix(l, "Evil") }) {
			t.Errorf("%q smuggles a header", eventType)
		}
	}
}

func TestNew_OwnHeadersCannotOverrideOrSmuggle(t *testing.T) {
	for _, h := range []map[string]string{
		{"X-IntelliDocs-Signature": "sha256=0"},
		{"x-intellidocs-event": "x"},
		{"X_IntelliDocs_Signature": "x"},
		{"Webhook-Id": "x"},
		{"WEBHOOK-SIGNATURE": "x"},
		{"webhook_timestamp": "1"},
		{"Host": "other"},
		{"Content-Length": "0"},
		{"Transfer-Encoding": "chunked"},
		{"Connection": "close"},
		{"Traceparent": "x"},
		{"Idempotency-Key": "x"},
		{"X-A": "1\r\nX-IntelliDocs-Signature: sha256=0"},
		{"X-A": "1\nB: 2"},
		{"X-A\r\nB": "1"},
		{"X-A: 1\r\nB": "1"},
		{"X A": "1"},
		{"": "1"},
		{"X-A": "\x00"},
		{"X-Ä": "1"},
		{"X-A": "1", "x-a": "2"},
	} {
		_, err := New(Config{Webhook: "w", URL: "http://127.0.0.1/", Timeout: time.Second, Headers: h}, open(), quiet)
		if err == nil || !strings.Contains(err.Error(), "headers") {
			t.Errorf("%q: %v", h, err)
		}
	}
}

func TestNew_RefusesWhatIsNoEndpoint(t *testing.T) {
	for _, cfg := range []Config{
		{URL: "", Timeout: 1},
		{URL: "example.org/x", Timeout: 1},
		{URL: "http://", Timeout: 1},
		{URL: "http://a b/", Timeout: 1},
		{URL: "http://example.org/secret\x01", Timeout: 1},
		{URL: "http://example.org/"},
		{URL: "http://example.org/", Timeout: 1, TLS: TLS{CAFile: "/nonexistent"}},
		{URL: "http://example.org/", Timeout: 1, TLS: TLS{KeyFile: "/nonexistent"}},
	} {
		if _, err := New(cfg, open(), quiet); err == nil || strings.Contains(err.Error(), "secret\x01") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestSend_AKeptConnectionThatTurnsOutClosedIsNoFailedAttempt(t *testing.T) {
	var seen atomic.Int32
	url := raw(t, func(c net.Conn, head []string, body *bufio.Reader) {
		if seen.Add(1) > 1 {
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
			return
		}
		_, _ = io.CopyN(io.Discard, body, int64(len(sample().Body)))
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		_, _ = readHead(body) // the next request, on which it closes
	})
	e := endpoint(t, Config{URL: url}, open())
	for range 2 {
		if r := e.Send(t.Context(), sample()); r.Class != Delivered {
			t.Fatalf("%+v", r)
		}
	}
}

func TestExchange_MasksSecretsAndShowsTheRest(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "thanks") })
	url := strings.Replace(s.URL, "://", "://ann:hunter2@", 1) + "/aVeryLongMixedToken1?key=hunter2"
	e := endpoint(t, Config{URL: url, Headers: map[string]string{"Authorization": "Bearer hunter2", "X-Key": "hunter2"}}, open())
	r, tr := e.Exchange(t.Context(), sample())
	all := fmt.Sprintf("%+v %+v %s", r, tr, e.URL())
	for _, leak := range []string{"hunter2", "ann", "aVeryLong"} {
		if strings.Contains(all, leak) {
			t.Errorf("%q leaks: %s", leak, all)
		}
	}
	for _, want := range []string{"POST " + s.URL, "X-Key: [secret]", "X-IntelliDocs-Event: scan_completed", string(sample().Body)} {
		if !strings.Contains(tr.Request, want) {
			t.Errorf("no %q in %s", want, tr.Request)
		}
	}
	if !strings.Contains(tr.Response, "HTTP/1.1 200 OK") || !strings.Contains(tr.Response, "thanks") {
		t.Error(tr.Response)
	}
}
