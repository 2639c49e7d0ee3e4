package send

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
)

func TestSend_StatusClasses(t *testing.T) {
	for _, c := range []struct {
		status int
		class  Class
		outage bool
		text   string
	}{
		{200, Delivered, false, ""},
		{201, Delivered, false, ""},
		{204, Delivered, false, ""},
		{299, Delivered, false, ""},
		{304, Retry, false, "HTTP 304 Not Modified"},
		{400, Retry, false, "HTTP 400 Bad Request: no line"},
		{404, Retry, false, "HTTP 404 Not Found: no line"},
		{410, Gone, false, "HTTP 410 Gone: no line (the endpoint says that it is gone for good)"},
		{429, Throttled, false, "HTTP 429 Too Many Requests: no line"},
		{500, Retry, true, "HTTP 500 Internal Server Error: no line"},
		{503, Retry, true, "HTTP 503 Service Unavailable: no line"},
		{599, Retry, true, "HTTP 599: no line"},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(c.status)
			fmt.Fprint(w, "no\nline")
		})
		r := endpoint(t, Config{URL: s.URL}, open()).Send(t.Context(), sample())
		if r.Class != c.class || r.Outage != c.outage || r.Status != c.status || !strings.HasPrefix(r.Error, c.text) || (c.text == "") != (r.Error == "") {
			t.Errorf("%d: %+v", c.status, r)
		}
		if r.Remote != s.Listener.Addr().String() || r.URL != s.URL || r.Took <= 0 || r.At.IsZero() || r.Connect <= 0 || r.FirstByte < r.Connect {
			t.Errorf("%d: the attempt is not told whole: %+v", c.status, r)
		}
	}
}

func TestSend_RedirectsAreNotFollowed(t *testing.T) {
	var followed atomic.Bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/?token=hunter2", status) })
		r := endpoint(t, Config{URL: s.URL}, open()).Send(t.Context(), sample())
		if r.Class != Retry || r.Status != status || strings.Contains(r.Error, "hunter2") || !strings.Contains(r.Error, "a redirect to "+other.URL+"/?… is not followed; put the final address into url") {
			t.Errorf("%+v", r)
		}
	}
	if followed.Load() {
		t.Error("a redirect was followed")
	}
}

func TestSend_RetryAfterInBothForms(t *testing.T) {
	for _, c := range []struct {
		status int
		value  string
		want   time.Duration // 0: none
	}{
		{429, "120", 2 * time.Minute},
		{503, " 5 ", 5 * time.Second},
		{503, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), time.Hour},
		{429, time.Now().Add(time.Hour).UTC().Format(time.RFC850), time.Hour},
		{429, "99999999999999999999999", 365 * 24 * time.Hour},
		{429, "0.25", 250 * time.Millisecond},
		{429, "-5", 0},
		{429, "soon", 0},
		{500, "120", 0},
		{400, "120", 0},
		{200, "120", 0},
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.value)
			w.WriteHeader(c.status)
		})
		r := endpoint(t, Config{URL: s.URL}, open()).Send(t.Context(), sample())
		switch {
		case c.want == 0 && !r.RetryAfter.IsZero():
			t.Errorf("%d %q: %v", c.status, c.value, r.RetryAfter)
		case c.want != 0 && r.RetryAfter.Sub(r.At.Add(c.want)).Abs() > 30*time.Second || c.want < time.Second && r.RetryAfter.Sub(r.At) > 10*time.Second:
			t.Errorf("%d %q: %v after the attempt", c.status, c.value, r.RetryAfter.Sub(r.At))
		}
	}
}

func TestSend_RetryAfterCountsFromTheAnswer(t *testing.T) {
	var answered time.Time
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "5")
		answered = time.Now() // later than the attempt's beginning, however busy the machine
		w.WriteHeader(429)
	})
	r := endpoint(t, Config{URL: s.URL}, open()).Send(t.Context(), sample())
	if r.RetryAfter.Before(answered.Add(5 * time.Second)) {
		t.Errorf("%s before what the endpoint asked for", answered.Add(5*time.Second).Sub(r.RetryAfter))
	}
}

func TestSend_TheFirstThousandCharactersOfTheResponseAreKept(t *testing.T) {
	for body, want := range map[string]string{
		strings.Repeat("ü", 5000):       strings.Repeat("ü", 1000),
		strings.Repeat("😀", 5000):       strings.Repeat("😀", 1000),
		"a\x00\x1b[31mb\r\nc":           "a[31mb\nc",
		"\xff\xfe":                      "\uFFFD",
		" x ":                           "x",
		strings.Repeat("\x01", 100_000): "",
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		r := endpoint(t, Config{URL: s.URL}, open()).Send(t.Context(), sample())
		if r.Class != Delivered || r.Response != want || !utf8.ValidString(r.Response) {
			t.Errorf("%.10q: %.30q (%d characters)", body, r.Response, utf8.RuneCountInString(r.Response))
		}
	}
}

func TestSend_ForbiddenIsDeadAndNobodyIsConnectedTo(t *testing.T) {
	var reached atomic.Bool
	url := listen(t, func(net.Conn) { reached.Store(true) })
	for text, policy := range map[string]target.Policy{
		"127.0.0.1 is not allowed: it is not a public address": {Schemes: []string{"http"}},
		`the scheme "http" is not allowed`:                     {Schemes: []string{"https"}, AllowInternal: true},
		"is not allowed: [security] allowed_ports":             {Schemes: []string{"http"}, AllowInternal: true, Ports: []int{1}},
	} {
		e := endpoint(t, Config{URL: url}, policy)
		r := e.Send(t.Context(), sample())
		if r.Class != Dead || r.Outage || !strings.Contains(r.Error, text) {
			t.Errorf("%+v", r)
		}
		if _, err := e.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("probe: %v", err)
		}
	}
	if reached.Load() {
		t.Error("the forbidden target was connected to")
	}
}

func TestSend_ARenderThatFailsIsDeadWithItsReason(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	e := endpoint(t, Config{URL: s.URL, Render: func(Message) ([]byte, string, error) { return nil, "", errors.New("no such field") }}, open())
	if r := e.Send(t.Context(), sample()); r.Class != Dead || r.Error != "no such field" {
		t.Errorf("%+v", r)
	}
}

func TestSend_StoppedWhenTheCallersContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	url := listen(t, func(c net.Conn) {
		cancel()
		untilClosed(c)
	})
	if r := endpoint(t, Config{URL: url}, open()).Send(ctx, sample()); r.Class != Stopped || r.Outage {
		t.Errorf("%+v", r)
	}
	inBody, cancelInBody := context.WithCancel(t.Context())
	url = raw(t, func(c net.Conn, _ []string, _ *bufio.Reader) {
		fmt.Fprint(c, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nab") // a 200 that has come counts
		cancelInBody()
		untilClosed(c)
	})
	if r := endpoint(t, Config{URL: url}, open()).Send(inBody, sample()); r.Class != Stopped {
		t.Errorf("%+v", r)
	}
}

func TestQuota_IsReadInEveryForm(t *testing.T) {
	now := time.Unix(1_763_132_400, 0)
	header := func(lines ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(lines); i += 2 {
			h.Add(lines[i], lines[i+1])
		}
		return h
	}
	for _, c := range []struct {
		name   string
		header http.Header
		left   int // -1: nothing is said
		resets time.Duration
	}{
		{"Discord", header("X-RateLimit-Limit", "5", "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "1763132402.5", "X-RateLimit-Reset-After", "1.4"), 0, 1400 * time.Millisecond},
		{"since 1970", header("X-RateLimit-Remaining", "3", "X-RateLimit-Reset", "1763132430"), 3, 30 * time.Second},
		{"milliseconds since 1970", header("X-RateLimit-Remaining", "3", "X-RateLimit-Reset", "1763132430000"), 3, 30 * time.Second},
		{"the draft's headers of their own", header("RateLimit-Remaining", "2", "RateLimit-Reset", "7"), 2, 7 * time.Second},
		{"the draft's dictionary", header("RateLimit", "limit=10, remaining=1, reset=5"), 1, 5 * time.Second},
		{"the draft's structured item", header("RateLimit", `"default";r=4;t=9`), 4, 9 * time.Second},
		{"of two policies the stricter", header("RateLimit", `"day";r=400;t=9000, "second";r=0;t=1`), 0, time.Second},
		{"no reset", header("X-RateLimit-Remaining", "0"), -1, 0},
		{"no number", header("X-RateLimit-Remaining", "none", "X-RateLimit-Reset", "soon"), -1, 0},
		{"NaN", header("X-RateLimit-Remaining", "0", "X-RateLimit-Reset-After", "NaN"), -1, 0},
		{"beyond time", header("X-RateLimit-Remaining", "0", "X-RateLimit-Reset-After", "1e300"), -1, 0},
		{"nothing", header(), -1, 0},
	} {
		q := quota(c.header, now)
		if q.Known != (c.left >= 0) || q.Known && (q.Remaining != c.left || q.Resets.Sub(now).Round(time.Millisecond) != c.resets) {
			t.Errorf("%s: %+v, in %s", c.name, q, q.Resets.Sub(now))
		}
	}
}

func TestRetryAfter_OfTheBodyAndByTheEndpointsClock(t *testing.T) {
	now := time.Date(2025, 11, 14, 15, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		header http.Header
		body   string
		want   time.Duration // -1: nothing is said
	}{
		{http.Header{"Retry-After": {"2"}}, `{"message":"You are being rate limited.","retry_after":1.337,"global":false}`, 1337 * time.Millisecond},
		{http.Header{"Retry-After": {"2"}}, `{"retry_after":1337}`, 2 * time.Second}, // in milliseconds, as it once was
		{http.Header{}, `{"ok":false,"error_code":429,"parameters":{"retry_after":35}}`, 35 * time.Second},
		{http.Header{"Retry-After": {"Fri, 14 Nov 2025 16:00:10 GMT"}, "Date": {"Fri, 14 Nov 2025 16:00:00 GMT"}}, "", 10 * time.Second},
		{http.Header{}, `{"retry_after":"soon"}`, -1},
		{http.Header{}, `slow down`, -1},
	} {
		at := retryAfter(c.header, c.body, Quota{}, now)
		if c.want < 0 && !at.IsZero() || c.want >= 0 && at.Sub(now) != c.want {
			t.Errorf("%v %s: %s", c.header, c.body, at.Sub(now))
		}
	}
}

func TestSend_ATeamsConnectorsRefusalInA200IsA429(t *testing.T) {
	for body, want := range map[string]Class{
		"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=0,server=X": Throttled,
		"Webhook message delivery\nfailed with error 429": Throttled,
		"1":                                 Delivered,
		"":                                  Delivered,
		"got 429 events":                    Delivered,
		"failed with error 4290":            Delivered,
		`{"title":"failed with error 429"}`: Delivered,
	} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		r := endpoint(t, Config{URL: s.URL}, open()).Send(t.Context(), sample())
		if r.Class != want || (r.Error == "") != (want == Delivered) {
			t.Errorf("%q: %+v", body, r)
		}
	}
}
