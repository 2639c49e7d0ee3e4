package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

func execute(t testing.TB, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

// terminate ends a connection at the server.
func terminate(t testing.TB, url string, pid uint32) {
	t.Helper()
	execute(t, url, fmt.Sprintf("SELECT pg_terminate_backend(%d, 10000)", pid))
}

func TestOpen_ANewerFormatIsRefused(t *testing.T) {
	url := pgtest.Server(t)
	_ = open(t, Options{URL: url}).Close()
	execute(t, url, "UPDATE agent.meta SET value = '99' WHERE name = 'format'")
	if _, err := Open(t.Context(), Options{URL: url}); !errors.Is(err, queue.ErrNewer) {
		t.Fatalf("%v", err)
	}
}

func TestOpen_AnOlderFormatIsBroughtUpToDate(t *testing.T) {
	url := pgtest.Server(t)
	q := open(t, Options{URL: url})
	commit(t, q, queue.Batch{Source: "log", Cursor: []byte("1"), Events: []queue.NewEvent{event(1, "a")}, Rejected: []queue.Rejected{{Source: "log", Reason: "broken"}}})
	execute(t, url, "DELETE FROM agent.delta WHERE status = 'rejected_bytes'; DROP INDEX agent.event_type; UPDATE agent.meta SET value = '1' WHERE name = 'format'")
	if page, err := open(t, Options{URL: url}).List(t.Context(), queue.Filter{EventType: "scan_completed"}); err != nil || len(page.Deliveries) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
	if n := value[int64](t, url, rejectedBytes); n != 0 {
		t.Errorf("what rejected records take is known with an error of %d", n)
	}
}

func TestOpen_AgentsMayBeginTogether(t *testing.T) {
	url := pgtest.Server(t)
	errs := make(chan error)
	for i := range 6 {
		go func() {
			q, err := Open(context.Background(), Options{URL: url, Agent: fmt.Sprint("agent-", i)})
			if err == nil {
				err = q.Close()
			}
			errs <- err
		}()
	}
	for range 6 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// The URL is a secret: none of its parts that matter is in an error.
func TestOpen_ErrorsHoldNoSecret(t *testing.T) {
	url := pgtest.Server(t)
	wrong := strings.Replace(url, pgtest.Password, "wr0ng-pa55word", 1)
	for _, url := range []string{
		wrong, "postgres://agent:wr0ng-pa55word@127.0.0.1:1/x", "postgres://agent:wr0ng-pa55word@no.such.host.invalid/x",
		"postgres://agent:wr0ng-pa55word@127.0.0.1:notaport/x", "://wr0ng-pa55word", "postgres://agent:wr0ng-pa55word@127.0.0.1/x?sslmode=odd",
	} {
		_, err := Open(t.Context(), Options{URL: url})
		if err == nil {
			t.Fatalf("%s was opened", url)
		}
		if strings.Contains(err.Error(), "wr0ng-pa55word") || strings.Contains(err.Error(), "postgres://agent") {
			t.Errorf("%v", err)
		}
	}
}

func TestCommit_OneCopyIsNotEnoughUnlessTrusted(t *testing.T) {
	url := pgtest.Server(t)
	q := open(t, Options{URL: url, Replication: "check"})
	b := queue.Batch{Source: "log", Cursor: []byte("1"), Events: []queue.NewEvent{event(1, "a")}}
	if _, err := q.Commit(t.Context(), b); !errors.Is(err, ErrUnreplicated) {
		t.Fatalf("%v", err)
	}
	if page, err := q.List(t.Context(), queue.Filter{}); err != nil || len(page.Deliveries) != 0 {
		t.Fatalf("%+v, %v", page, err)
	}
	commit(t, open(t, Options{URL: url, Replication: "trust"}), b)
}

func TestCommit_FromAnotherPlaceIsRefused(t *testing.T) {
	q := open(t, Options{})
	b := queue.Batch{Source: "log", Cursor: []byte("1"), Events: []queue.NewEvent{event(1, "a")}}
	b.Gen = 1
	if _, err := q.Commit(t.Context(), b); !errors.Is(err, queue.ErrMoved) {
		t.Fatalf("from where nothing is: %v", err)
	}
	b.Gen = 0
	b.Gen = commit(t, q, b).Gen
	for _, gen := range []int64{0, b.Gen + 1} {
		other := queue.Batch{Source: "log", Cursor: []byte("2"), Gen: gen, Events: []queue.NewEvent{event(2, "a")}}
		if _, err := q.Commit(t.Context(), other); !errors.Is(err, queue.ErrMoved) {
			t.Fatalf("from %d: %v", gen, err)
		}
	}
	if c, gen, err := q.Cursor("log"); err != nil || string(c) != "1" || gen != 1 || len(due(t, q, "a")) != 1 {
		t.Fatalf("%s, %d, %v", c, gen, err)
	}
}

// Several readers of one source: each step is one reader's.
func TestCommit_OneOfSeveralReadersMovesTheCursor(t *testing.T) {
	url := pgtest.Server(t)
	const readers, steps = 3, 40
	results := make(chan int)
	for r := range readers {
		q := open(t, Options{URL: url, Agent: fmt.Sprint("agent-", r), DedupWindow: time.Hour})
		go func() {
			queued := 0
			gen, n := int64(0), 0
			for n < steps {
				b := queue.Batch{Source: "shared:log", Gen: gen, Cursor: fmt.Append(nil, n+1), Events: []queue.NewEvent{event(n, "a")}}
				done, err := q.Commit(context.Background(), b)
				switch {
				case err == nil:
					gen, n, queued = done.Gen, n+1, queued+len(done.Queued)
				case errors.Is(err, queue.ErrMoved):
					var c []byte
					if c, gen, err = q.Cursor("shared:log"); err == nil {
						_, err = fmt.Sscan(string(c), &n)
					}
				}
				if err != nil && !errors.Is(err, queue.ErrMoved) {
					t.Error(err)
					break
				}
			}
			results <- queued
		}()
	}
	total := 0
	for range readers {
		total += <-results
	}
	if total != steps {
		t.Errorf("%d queued, want %d", total, steps)
	}
}

// Two agents with one log each, which hold the same events.
func TestCommit_OneEventFromSeveralAgentsIsQueuedOnce(t *testing.T) {
	url := pgtest.Server(t)
	const agents, batches, size = 3, 15, 20
	results := make(chan [2]int)
	for a := range agents {
		q := open(t, Options{URL: url, Agent: fmt.Sprint("agent-", a), DedupWindow: time.Hour})
		go func() {
			queued, again := 0, 0
			for n := range batches {
				b := queue.Batch{Source: fmt.Sprint(a, ":log"), Gen: int64(n), Cursor: fmt.Append(nil, n)}
				for i := range size {
					k := i
					if a%2 == 0 {
						k = size - 1 - i // in another order
					}
					b.Events = append(b.Events, event(n*size+k, "a", "b"))
				}
				done, err := q.Commit(context.Background(), b)
				if err != nil {
					t.Error(err)
					break
				}
				queued, again = queued+len(done.Queued), again+done.Duplicates
			}
			results <- [2]int{queued, again}
		}()
	}
	queued, again := 0, 0
	for range agents {
		r := <-results
		queued, again = queued+r[0], again+r[1]
	}
	if queued != batches*size || again != (agents-1)*batches*size {
		t.Errorf("%d queued and %d duplicates, want %d and %d", queued, again, batches*size, (agents-1)*batches*size)
	}
	q := open(t, Options{URL: url})
	if n := q.Counts()["a"][queue.Pending]; n != batches*size {
		t.Errorf("%d wait", n)
	}
}

func TestMaxSize_ReadingWaitsUntilThereIsRoom(t *testing.T) {
	q := open(t, Options{MaxSize: 100_000})
	e := event(1, "a")
	e.Body = []byte(`{"x": "` + strings.Repeat("x", 100_000) + `"}`)
	commit(t, q, queue.Batch{Source: "log", Events: []queue.NewEvent{e}})
	q.measure()
	waiting := make(chan error, 1)
	go func() {
		_, err := q.Commit(context.Background(), queue.Batch{Source: "log", Events: []queue.NewEvent{event(2, "a")}})
		waiting <- err
	}()
	for !q.Stats().Full {
		time.Sleep(10 * time.Millisecond)
	}
	select {
	case err := <-waiting:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	q.SetLimits(1<<30, 0, 0)
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
}

// stale has what was measured last be as old as may be used without waiting.
func stale(q *Queue) {
	q.size.mu.Lock()
	defer q.size.mu.Unlock()
	q.size.measured = time.Now().Add(-remeasure)
}

// Whoever looks at something for long makes nobody unready, and keeps nobody from reading.
func TestStats_DoNotWaitForWhoLooks(t *testing.T) {
	q := open(t, Options{MaxSize: 1 << 30})
	looking, end, ended := make(chan bool), make(chan bool), make(chan error)
	go func() {
		ended <- q.read(context.Background(), func(context.Context, pgx.Tx) error { looking <- true; <-end; return nil })
	}()
	<-looking
	stale(q)
	if err := q.Alive(); err != nil {
		t.Error(err)
	}
	close(end)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	q.size.mu.Lock()
	q.size.measured, q.size.running = time.Now().Add(-remeasure), make(chan struct{}) // which does not end
	q.size.mu.Unlock()
	for n := range 2 {
		stale(q)
		commit(t, q, queue.Batch{Source: "log", Events: []queue.NewEvent{event(n, "a")}, Gen: int64(n), Cursor: []byte("c")})
	}
	q.size.mu.Lock()
	defer q.size.mu.Unlock()
	if err := q.size.err; err != nil {
		t.Error(err)
	}
}

// What is kept is counted in bytes that come back when it is deleted.
func TestStats_BytesComeBack(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	q := open(t, Options{Retention: time.Hour, Now: func() time.Time { return now }})
	a := serve(t, q, "a")
	a.await(t, "a")
	b := queue.Batch{Source: "log"}
	for n := range 50 {
		b.Events = append(b.Events, event(n, "a", "a"))
		b.Rejected = append(b.Rejected, queue.Rejected{Source: "log", Offset: int64(n), Data: []byte("odd")})
	}
	commit(t, q, b)
	now = now.Add(time.Second)
	var outcomes []queue.Outcome
	for _, d := range due(t, q, "a") {
		o := outcome(d, a.epoch("a"), queue.Retrying, 1)
		o.Attempt.At = now
		outcomes = append(outcomes, o)
	}
	for _, status := range []queue.Status{queue.Retrying, queue.Failed} {
		for i := range outcomes {
			outcomes[i].Status, outcomes[i].Attempt.N = status, outcomes[i].Attempt.N+1
			if outcomes[i].Due = now; status == queue.Failed {
				outcomes[i].Due = time.Time{}
			}
		}
		if err := q.Record(t.Context(), outcomes...); err != nil {
			t.Fatal(err)
		}
	}
	if len(outcomes) != 100 || q.Stats().Bytes == 0 {
		t.Fatalf("%d outcomes, %+v", len(outcomes), q.Stats())
	}
	now = now.Add(2 * time.Hour)
	if err := q.Upkeep(t.Context()); err != nil {
		t.Fatal(err)
	}
	q.measure()
	if s := q.Stats(); s.Bytes != 0 || s.Rejected != 0 || len(q.Counts()) != 0 {
		t.Fatalf("%+v, %v", s, q.Counts())
	}
}

func TestUpkeep_MakesRoomOfFinishedAndRejected(t *testing.T) {
	q := open(t, Options{MaxSize: 300_000})
	a := serve(t, q, "a")
	a.await(t, "a")
	var outcomes []queue.Outcome
	for n := range 20 {
		e := event(n, "a")
		e.Body = []byte(`{"x": "` + strings.Repeat("x", 10_000) + `"}`)
		commit(t, q, queue.Batch{Source: "log", Events: []queue.NewEvent{e}, Rejected: []queue.Rejected{{Source: "log", Offset: int64(n), Data: make([]byte, 5000)}}})
	}
	for _, d := range due(t, q, "a") {
		outcomes = append(outcomes, outcome(d, a.epoch("a"), queue.Success, 1))
	}
	if err := q.Record(t.Context(), outcomes...); err != nil {
		t.Fatal(err)
	}
	q.measure()
	if !q.pressed() {
		t.Fatalf("%+v", q.Stats())
	}
	if err := q.shrink(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := q.Stats(); q.pressed() || s.Rejected == 0 || s.Rejected > 6 {
		t.Fatalf("%+v", s)
	}
}

func TestText_OfAnyKindIsKept(t *testing.T) {
	q := open(t, Options{})
	e := event(1, "a")
	e.Type, e.Path, e.Source = "nul\x00 bad\xff", "/p\xff\x00", "s\xff"
	b := queue.Batch{Source: "s\xff\x00", Cursor: []byte{}, Events: []queue.NewEvent{e}, Rejected: []queue.Rejected{{Source: "s\x00", Data: []byte{0, 255}}}}
	b.Gen = commit(t, q, b).Gen
	a := serve(t, q, "a")
	a.await(t, "a")
	d := due(t, q, "a")[0]
	o := outcome(d, a.epoch("a"), queue.Failed, 1)
	o.Attempt.Response, o.Attempt.Error = "\x00\xff", "nul\x00"
	if err := q.Record(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	page, err := q.List(t.Context(), queue.Filter{EventType: d.EventType, Search: "nul"})
	if err != nil || len(page.Deliveries) != 1 || page.Deliveries[0].Error != "nul\x00" {
		t.Fatalf("%+v, %v", page, err)
	}
	if _, gen, err := q.Cursor("s\xff\x00"); err != nil || gen != b.Gen {
		t.Fatal(gen, err)
	}
	if r, _, err := q.Rejected(t.Context(), queue.RejectedFilter{Source: "s\x00"}); err != nil || len(r) != 1 {
		t.Fatal(r, err)
	}
}

func TestMetrics_OfTheWholeQueueAreToldByOneAgent(t *testing.T) {
	url := pgtest.Server(t)
	gauges := func(r *prometheus.Registry) int {
		n, err := testutil.GatherAndCount(r, "intellidocs_agent_queue_deliveries")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	registries := []*prometheus.Registry{prometheus.NewRegistry(), prometheus.NewRegistry()}
	for i, r := range registries {
		q := agent(t, url, fmt.Sprint("agent-", i), Options{Registerer: r, Webhooks: func() []string { return []string{"a"} }})
		serve(t, q, "a", "b").until(t, "serve one", holds([]int{2, 1}[i]))
	}
	if a, b := gauges(registries[0]), gauges(registries[1]); a != 4 || b != 0 {
		t.Errorf("%d and %d series", a, b)
	}
}
