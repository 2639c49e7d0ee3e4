package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// never is a webhook whose deliveries wait: the dispatcher of these tests does not run.
type never struct{}

func (never) Send(context.Context, send.Message) send.Result { return send.Result{} }

// served is an agent's API over a real queue and dispatcher.
type served struct {
	t       *testing.T
	queue   *queue.Queue
	server  *Server
	sources []SourceStatus
	log     strings.Builder
}

func serve(t *testing.T) *served {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Options{Dir: t.TempDir(), DedupWindow: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.Close() })
	d := dispatch.New(dispatch.Options{Store: q})
	if err := d.Apply([]dispatch.Webhook{{Name: "main", Enabled: true, Sender: never{}}}); err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, queue: q, sources: []SourceStatus{{Name: "log", Type: "log", Ready: true}}}
	s.server = New(Agent{
		Queue: q, Dispatcher: d, Version: "test", Running: true, MaxSize: func() int64 { return 0 },
		Config: func() (bool, ConfigStatus, []Webhook) {
			return true, ConfigStatus{}, []Webhook{{Name: "main", URL: "http://127.0.0.1:1"}}
		},
		Alive:   q.Alive,
		Sources: func() []SourceStatus { return s.sources },
		Note:    func(queue.LogEntry) {}, LogRevision: func() uint64 { return 0 },
		Retry: func(context.Context, queue.Rejected) (bool, error) { return true, nil },
	}, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(&s.log, nil)))
	var events []queue.NewEvent
	for i := range 3 {
		events = append(events, queue.NewEvent{
			Event:    queue.Event{ID: fmt.Sprintf("evt_%032x", i), Type: "scan_completed", ReadAt: time.Now(), Body: fmt.Appendf(nil, `{"n": %d}`, i)},
			Webhooks: []string{"main"},
		})
	}
	rejected := []queue.Rejected{{Source: "log", Path: "log", Size: 3, At: time.Now(), Reason: "odd", Data: []byte("<b>\xff")}}
	if _, err := q.Commit(t.Context(), queue.Batch{Source: "log", Events: events, Rejected: rejected}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *served) call(method, path, body string) (int, string) {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.server.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func TestAPI_AnswersSayWhatIsWrong(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		method, path, body string
		code               int
		says               string
	}{
		{"GET", "/healthz", "", 200, "alive"},
		{"GET", "/api/v1/count", "", 200, `{"count":3}`},
		{"GET", "/api/v1/deliveries?limit=2", "", 200, `"next"`},
		{"GET", "/api/v1/deliveries?stauts=failed", "", 400, "there are status, webhook"},
		{"GET", "/api/v1/deliveries?status=odd", "", 400, "use pending, retrying, success or failed"},
		{"GET", "/api/v1/deliveries?limit=1001", "", 400, "1 to 1000"},
		{"GET", "/api/v1/deliveries?since=yesterday", "", 400, "24h"},
		{"GET", "/api/v1/rejected", "", 200, "\uFFFD"},
		{"GET", "/api/v1/replay", "", 405, "it takes POST"},
		{"GET", "/api/v1/webhooks/main/pause", "", 405, "it takes POST"},
		{"DELETE", "/api/v1/deliveries/x", "", 405, "it takes GET"},
		{"POST", "/api/v1/status", "", 405, "it takes GET"},
		{"GET", "/api/v1/nothing", "", 404, "there is no GET"},
		{"POST", "/api/v1/replay", "{}", 400, "either by ids or by a filter"},
		{"POST", "/api/v1/replay", `{"ids":["x"],"filter":{}}`, 400, "either by ids or by a filter"},
		{"POST", "/api/v1/replay", `{"filtre":{}}`, 400, "filtre"},
		{"POST", "/api/v1/replay", `{"filter":{"status":["odd"]}}`, 400, "is not a status"},
		{"POST", "/api/v1/replay", `{"filter":{"limit":1}}`, 400, "leave limit out"},
		{"POST", "/api/v1/replay", "", 400, "either by ids or by a filter"},
		{"POST", "/api/v1/replay", `{"ids":["` + strings.Repeat("x", maxRequest) + `"]}`, 413, "too large"},
		{"POST", "/api/v1/webhooks/other/pause", "", 404, "other"},
		{"POST", "/api/v1/webhooks/main/pause", `{"reason":"` + strings.Repeat("x", 501) + `"}`, 400, "500"},
		{"POST", "/api/v1/webhooks/main/test", `{"event_type":"../x"}`, 400, "not an event type"},
		{"POST", "/api/v1/ingest", "", 400, "?name="},
	} {
		if code, body := s.call(c.method, c.path, c.body); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s %s: %d %.300s, want %d with %q", c.method, c.path, code, body, c.code, c.says)
		}
	}
}

func TestAPI_PauseResumeReplayAndRetryDoIt(t *testing.T) {
	s := serve(t)
	state := func() WebhookStatus {
		_, body := s.call("GET", "/api/v1/status", "")
		var st Status
		if err := json.Unmarshal([]byte(body), &st); err != nil || len(st.Webhooks) != 1 {
			t.Fatal(err, body)
		}
		return st.Webhooks[0]
	}
	if code, body := s.call("POST", "/api/v1/webhooks/main/pause", `{"reason":"night"}`); code != 200 || state().State.State != "paused" || state().Reason != "night" {
		t.Errorf("pause: %d %s, %+v", code, body, state())
	}
	if code, body := s.call("POST", "/api/v1/webhooks/main/resume", ""); code != 200 || state().State.State == "paused" {
		t.Errorf("resume: %d %s, %+v", code, body, state())
	}
	code, body := s.call("POST", "/api/v1/replay", `{"filter":{"webhook":"main"},"by":"somebody"}`)
	lines := strings.Split(strings.TrimSpace(body), "\n")
	var last Progress
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || code != 200 || !last.Final || last.Error != "" || last.Done != 3 {
		t.Errorf("replay: %d %s %v", code, body, err)
	}
	page, err := s.queue.List(t.Context(), queue.Filter{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	// An event and its own delivery, twice: one delivery.
	one := page.Deliveries[0]
	if code, body := s.call("POST", "/api/v1/replay", fmt.Sprintf(`{"ids":[%q,%q,%[1]q]}`, one.EventID, one.ID)); code != 200 || !strings.Contains(body, `"done":1,`) {
		t.Errorf("replay by ids: %d %s", code, body)
	}
	if d, err := s.queue.Get(one.ID); err != nil || len(d.Replays) != 2 {
		t.Errorf("it has %d replays, %v", len(d.Replays), err)
	}
	if code, body := s.call("POST", "/api/v1/replay", `{"ids":["evt_00000000000000000000000000000009"]}`); code != 404 {
		t.Errorf("replay of nothing: %d %s", code, body)
	}
	if code, body := s.call("POST", "/api/v1/rejected/retry", "{}"); code != 200 || !strings.Contains(body, `{"tried":1,"queued":1}`) {
		t.Errorf("retry: %d %s", code, body)
	}
	if code, body := s.call("GET", "/api/v1/rejected", ""); code != 200 || !strings.Contains(body, `{"rejected":[]}`) {
		t.Errorf("a record that was read stays rejected: %d %s", code, body)
	}
}

// leaving is a caller that goes away once it has read the first line.
type leaving struct {
	*httptest.ResponseRecorder
	leave func()
}

func (l leaving) Write(p []byte) (int, error) {
	l.leave()
	return l.ResponseRecorder.Write(p)
}

func TestReplay_EndsCleanlyWithItsCallerOrTheAgent(t *testing.T) {
	for _, c := range []struct {
		says  string
		leave func(s *served, caller context.CancelFunc)
	}{
		{"its caller left", func(_ *served, caller context.CancelFunc) { caller() }},
		{"the agent is stopping", func(s *served, _ context.CancelFunc) { _ = s.server.Close(context.Background()) }},
	} {
		s := serve(t)
		var events []queue.NewEvent
		for i := range 1200 { // more than one step of a replay
			events = append(events, queue.NewEvent{
				Event:    queue.Event{ID: fmt.Sprintf("evt_%032x", 1000+i), Type: "custom", ReadAt: time.Now(), Body: []byte("{}")},
				Webhooks: []string{"main"},
			})
		}
		if _, err := s.queue.Commit(t.Context(), queue.Batch{Source: "log", Events: events}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w := leaving{httptest.NewRecorder(), func() { c.leave(s, cancel) }}
		s.server.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "/api/v1/replay", strings.NewReader(`{"filter":{"event_type":"custom"}}`)))
		cancel()
		lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
		var last Progress
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || !last.Final || last.Done == 0 || last.Done >= last.Total || !strings.Contains(last.Error, c.says) {
			t.Errorf("%s: %+v %v", c.says, last, err)
		}
		page, err := s.queue.List(t.Context(), queue.Filter{EventType: "custom", Limit: 2000})
		if err != nil {
			t.Fatal(err)
		}
		replayed := 0
		for i := range page.Deliveries {
			replayed += len(page.Deliveries[i].Replays)
		}
		if replayed != last.Done {
			t.Errorf("%s: it says %d and did %d", c.says, last.Done, replayed)
		}
		if text := s.log.String(); !strings.Contains(text, c.says) || !strings.Contains(text, fmt.Sprintf("done=%d total=1200", last.Done)) {
			t.Errorf("the log does not tell of it: %s", text)
		}
	}
}

func TestReadyz_NamesTheReasons(t *testing.T) {
	s := serve(t)
	if code, body := s.call("GET", "/readyz", ""); code != 200 || !strings.Contains(body, `"ready":true`) {
		t.Errorf("%d %s", code, body)
	}
	s.sources[0].Ready, s.sources[0].Reason = false, "permission denied"
	if code, body := s.call("GET", "/readyz", ""); code != 503 || !strings.Contains(body, "source log: permission denied") {
		t.Errorf("%d %s", code, body)
	}
	if code, _ := s.call("GET", "/healthz", ""); code != 200 {
		t.Errorf("an agent that is not ready is alive: %d", code)
	}
}

func TestClose_IsNotHeldUpByAnOpenDashboard(t *testing.T) {
	s := serve(t)
	dir := t.TempDir()
	l, err := ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.server.Serve(l, Access{Socket: true})
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, SocketName))
	}}}
	resp, err := client.Get("http://agent/api/v1/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Error(kind)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 14)); err != nil {
		t.Fatal(err)
	}
	// Without a deadline Close waits for whatever does not end by itself.
	if err := s.server.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Errorf("the stream was cut, not ended: %v", err)
	}
}

func TestToken_AChangedOneTakesEffectAtOnceAlsoOnOpenStreams(t *testing.T) {
	s := serve(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var now atomic.Value
	now.Store("the first of them")
	// As where others can reach the listener.
	s.server.Serve(l, Access{Host: "0.0.0.0:1", Token: func() (string, bool) { return now.Load().(string), false }})
	defer func() { _ = s.server.Close(context.Background()) }()
	get := func(path, token string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+l.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	stream := get("/api/v1/stream", "the first of them")
	if stream.StatusCode != 200 {
		t.Fatal(stream.Status)
	}
	now.Store("the second of them")
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream was cut, not ended: %v", err)
	}
	if old, changed := get("/api/v1/status", "the first of them"), get("/api/v1/status", "the second of them"); old.StatusCode != 401 || changed.StatusCode != 200 {
		t.Errorf("the old token is answered %s, the new one %s", old.Status, changed.Status)
	}
}

func TestPageURL_IsWhereABrowserFindsIt(t *testing.T) {
	for address, host := range map[string]string{"0.0.0.0:0": "localhost", "127.0.0.1:0": "127.0.0.1"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if got, want := PageURL(l.Addr()), fmt.Sprintf("http://%s:%d/", host, l.Addr().(*net.TCPAddr).Port); got != want {
			t.Errorf("%s is found at %s, want %s", address, got, want)
		}
	}
}

func TestListenSocket_IsItsOwnersOnlyAndReplacesALeftOne(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		l, err := ListenSocket(dir)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false) // as a killed agent leaves it
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		fi, err := os.Stat(filepath.Join(dir, SocketName))
		if err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", fi.Mode(), err)
		}
	}
}

func TestClient_SaysWhyThereIsNoAnswer(t *testing.T) {
	dir := t.TempDir()
	l, err := ListenSocket(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody answers there
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := c.Alive(late); err == nil || !strings.Contains(err.Error(), "in time") {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Alive(gone); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Error(err)
	}
}
