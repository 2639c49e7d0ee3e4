package dispatch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// The tests below run over a real queue on disk and real HTTP.

// receiver is an endpoint that answers by its handler and remembers what came.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	arrived []arrival
}

type arrival struct {
	id, attempt string // webhook-id, X-IntelliDocs-Attempt
	at          time.Time
	sent        time.Time // as the payload says
}

// newReceiver answers the nth request (0, 1, …) with what status says.
func newReceiver(t testing.TB, status func(n int) int) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		var payload struct{ Sent time.Time }
		_ = json.Unmarshal(body, &payload)
		r.mu.Lock()
		n := len(r.arrived)
		r.arrived = append(r.arrived, arrival{
			req.Header.Get("webhook-id"), req.Header.Get("X-IntelliDocs-Attempt"), time.Now(), payload.Sent,
		})
		r.mu.Unlock()
		w.WriteHeader(status(n))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.arrived)
}

func always(status int) func(int) int { return func(int) int { return status } }

// hangingURL is an address that accepts and then says nothing.
func hangingURL(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var held sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	held.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
	})
	t.Cleanup(func() {
		l.Close()
		held.Wait()
		for _, c := range conns {
			c.Close()
		}
	})
	return "http://" + l.Addr().String()
}

// deadURL is an address that refuses.
func deadURL(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// real is a dispatcher that runs over a queue in dir.
type real struct {
	*Dispatcher
	queue *queue.Queue
	stop  func()
	seq   int
}

func runReal(t testing.TB, dir string, webhooks ...Webhook) *real {
	t.Helper()
	r := &real{queue: openQueue(t, dir)}
	r.Dispatcher = New(Options{Store: r.queue, Grace: time.Second})
	if err := r.Apply(webhooks); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
			if err := r.queue.Close(); err != nil {
				t.Errorf("close the queue: %v", err)
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

// commit queues one event for the webhooks.
func (r *real) commit(t testing.TB, webhooks ...string) string {
	t.Helper()
	r.seq++
	now := time.Now()
	e := queue.NewEvent{
		Event: queue.Event{
			ID: fmt.Sprintf("evt_%032x", now.UnixNano()+int64(r.seq)), Type: "scan_completed", Source: "test", ReadAt: now,
			TraceID: fmt.Sprintf("%032x", r.seq), Body: fmt.Appendf(nil, `{"sent": %q}`, now.Format(time.RFC3339Nano)),
		},
		Webhooks: webhooks,
	}
	if _, err := r.queue.Commit(t.Context(), queue.Batch{Source: "test", Events: []queue.NewEvent{e}}); err != nil {
		t.Fatal(err)
	}
	r.Notify(webhooks)
	return e.ID
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %s", what)
		}
		sleep(t.Context(), 2*time.Millisecond)
	}
}

func realHook(t testing.TB, name, url string) Webhook {
	h := hook(name, newSender(t, url))
	h.RetryDelay, h.RetryJitter = 100*time.Millisecond, 0.1
	return h
}

func TestRestart_UndeliveredEventsAreSent(t *testing.T) {
	dir := t.TempDir()
	ok := newReceiver(t, always(204))
	down := realHook(t, "a", deadURL(t))
	down.RetryDelay, down.MaxRetries = 200*time.Millisecond, 1000
	r := runReal(t, dir, down)
	var ids []string
	for range 20 {
		ids = append(ids, r.commit(t, "a"))
	}
	eventually(t, "an attempt failed", func() bool { return r.States()[0].Failures > 0 })
	r.stop()

	up := realHook(t, "a", ok.URL)
	up.RetryDelay, up.MaxRetries = down.RetryDelay, down.MaxRetries
	r = runReal(t, dir, up)
	eventually(t, "all 20 arrived after the restart", func() bool { return len(ok.all()) >= 20 })
	r.stop()
	var got []string
	for _, a := range ok.all() {
		got = append(got, a.id)
	}
	slices.Sort(got)
	slices.Sort(ids)
	if !slices.Equal(got, ids) {
		t.Errorf("arrived %v, want each of %v once", got, ids)
	}
}

func TestRestart_DueTimesAreNeitherHurriedNorForgotten(t *testing.T) {
	dir := t.TempDir()
	ok := newReceiver(t, func(n int) int { return []int{500, 200}[min(n, 1)] })
	h := realHook(t, "a", ok.URL)
	h.RetryDelay = 700 * time.Millisecond
	r := runReal(t, dir, h)
	r.commit(t, "a")
	var due time.Time
	eventually(t, "the first attempt is recorded", func() bool {
		_, next, err := r.queue.Due("a", time.Now(), 1, func(string) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		due = next
		return len(ok.all()) == 1 && !next.IsZero()
	})
	r.stop()
	r = runReal(t, dir, h)
	eventually(t, "the retry arrived", func() bool { return len(ok.all()) == 2 })
	r.stop()
	second := ok.all()[1]
	if second.at.Before(due) || second.attempt != "2" {
		t.Errorf("attempt %s arrived %s before it was due", second.attempt, due.Sub(second.at))
	}
	if first := ok.all()[0].at; due.Sub(first) < h.RetryDelay {
		t.Errorf("the stored due time is %s after the attempt, want %s at least", due.Sub(first), h.RetryDelay)
	}
}

func TestRetry_500ThreeTimesThenOKOverHTTP(t *testing.T) {
	ok := newReceiver(t, func(n int) int { return []int{500, 500, 500, 200}[min(n, 3)] })
	h := realHook(t, "a", ok.URL)
	r := runReal(t, t.TempDir(), h)
	r.commit(t, "a")
	eventually(t, "four attempts", func() bool { return len(ok.all()) == 4 })
	eventually(t, "it is delivered", func() bool { return r.States()[0].State == Healthy })
	got := ok.all()
	for i, want := range []time.Duration{0, 1, 3, 7} {
		if at := got[i].at.Sub(got[0].at); at < want*h.RetryDelay-time.Millisecond || got[i].attempt != fmt.Sprint(i+1) || got[i].id != got[0].id {
			t.Errorf("attempt %s of %s after %s, want attempt %d of %s after %s at least", got[i].attempt, got[i].id, at, i+1, got[0].id, want*h.RetryDelay)
		}
	}
}

func TestNeighbours_AHealthyWebhookGetsItsAllBesideSickOnes(t *testing.T) {
	ok := newReceiver(t, always(200))
	failing := newReceiver(t, always(500))
	r := runReal(t, t.TempDir(), realHook(t, "hanging", hangingURL(t)), realHook(t, "dead", deadURL(t)),
		realHook(t, "failing", failing.URL), realHook(t, "healthy", ok.URL))
	for range 200 {
		r.commit(t, "hanging", "dead", "failing", "healthy")
	}
	eventually(t, "the healthy one got all 200", func() bool { return len(ok.all()) == 200 })
	for _, s := range r.States() {
		if s.Webhook == "hanging" && s.InFlight != defaultConcurrency {
			t.Errorf("%d hang, want %d: the others were not delivered beside them", s.InFlight, defaultConcurrency)
		}
	}
}

// BenchmarkNeighbours prints how long an event takes from being read to its request, at
// 500 events a second, alone and beside a hanging, a dead and a failing webhook.
func BenchmarkNeighbours(b *testing.B) {
	var alone float64
	for _, sick := range []bool{false, true} {
		b.Run(fmt.Sprintf("sick=%v", sick), func(b *testing.B) {
			ok := newReceiver(b, always(200))
			webhooks, names := []Webhook{realHook(b, "healthy", ok.URL)}, []string{"healthy"}
			if sick {
				failing := newReceiver(b, always(500))
				webhooks = append(webhooks, realHook(b, "hanging", hangingURL(b)), realHook(b, "dead", deadURL(b)), realHook(b, "failing", failing.URL))
				names = append(names, "hanging", "dead", "failing")
				for i := range webhooks {
					webhooks[i].BreakerFailures = 20
				}
			}
			r := runReal(b, b.TempDir(), webhooks...)
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			n := 0
			for b.Loop() {
				<-tick.C
				r.commit(b, names...)
				n++
			}
			eventually(b, "all arrived", func() bool { return len(ok.all()) >= n })
			var took []time.Duration
			for _, a := range ok.all() {
				took = append(took, a.at.Sub(a.sent))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			p99 := float64(took[len(took)*99/100])
			if !sick {
				alone = p99
			} else if alone > 0 {
				b.ReportMetric(p99/alone, "p99-beside/alone")
			}
			r.stop()
		})
	}
}

func openQueue(t testing.TB, dir string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(context.Background(), queue.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func newSender(t testing.TB, url string) Sender {
	t.Helper()
	e, err := send.New(send.Config{Webhook: "test", URL: url, Timeout: 10 * time.Second, Concurrency: defaultConcurrency},
		target.Policy{Schemes: []string{"http"}, AllowInternal: true}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}
