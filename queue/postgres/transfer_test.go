package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

func openAt(t testing.TB, o postgres.Options) *postgres.Queue {
	t.Helper()
	if o.Agent == "" {
		o.Agent = "agent-0"
	}
	if o.Replication == "" {
		o.Replication = "trust"
	}
	q, err := postgres.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := q.Close(); err != nil {
			t.Error(err)
		}
	})
	return q
}

func numbered(n int, webhooks ...string) queue.NewEvent {
	return queue.NewEvent{
		Event: queue.Event{
			ID: fmt.Sprintf("evt_%032x", n), Type: "scan_completed", Source: "/log", Path: "/log", Offset: int64(n),
			Body: fmt.Appendf(nil, `{"n": %d}`, n),
		},
		Webhooks: webhooks,
	}
}

// state is what an agent left: events from first on for the webhooks a and b, of which some were tried.
func state(t *testing.T, first, n int, clock func() time.Time) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "state")
	ctx := context.Background()
	q, err := queue.Open(ctx, queue.Options{Dir: dir, DedupWindow: time.Hour, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var events []queue.NewEvent
	for i := range n {
		events = append(events, numbered(first+i, "a", "b"))
	}
	_, err = q.Commit(ctx, queue.Batch{
		Source: "/log", Cursor: []byte("here"), Events: events,
		Rejected: []queue.Rejected{{Source: "/log", Path: "/log", Offset: 7, Reason: "odd", Data: []byte("{")}},
	})
	do(err)
	due, _, err := q.Due("a", clock().Add(time.Second), n, nil)
	do(err)
	var outcomes []queue.Outcome
	for i, d := range due {
		o := queue.Outcome{DeliveryID: d.ID, Attempt: queue.Attempt{N: 1, At: clock(), Took: time.Second, Error: "because"}}
		if o.Status = []queue.Status{queue.Success, queue.Failed, queue.Retrying}[i%4%3]; o.Status == queue.Retrying {
			o.Due = clock().Add(time.Hour)
		}
		if i%4 < 3 {
			outcomes = append(outcomes, o)
		}
	}
	do(q.Record(ctx, outcomes...))
	do(q.SetState(ctx, "a", 1, []byte(`{"held":1}`)))
	do(q.SetPause(ctx, "b", []byte(`"by hand"`)))
	do(q.Close())
	return dir
}

func takeOver(t testing.TB, dir, agent string, q *postgres.Queue, progress func(postgres.Transferred)) postgres.Transferred {
	t.Helper()
	from, err := queue.Open(context.Background(), queue.Options{Dir: dir, Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	done, err := q.TakeOver(context.Background(), postgres.Transfer{
		From: from, Dir: dir, Webhooks: []string{"a", "b"}, Sources: []string{"/log"},
		Source:   func(name string) string { return agent + ":" + name },
		Progress: progress,
	})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// everything is all that either engine says of its deliveries, and of the events they belong to.
func everything(t *testing.T, q interface {
	List(context.Context, queue.Filter) (queue.Page, error)
	Event(string) (queue.Event, error)
},
) (all []string) {
	t.Helper()
	for f := (queue.Filter{Limit: 500}); ; {
		page, err := q.List(context.Background(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Deliveries {
			due := "never"
			if !d.NextAttemptAt.IsZero() {
				due = time.Until(d.NextAttemptAt).Round(time.Hour).String()
			}
			all = append(all, fmt.Sprint(d.EventID, d.EventType, d.Webhook, d.Status, d.Attempts, d.Spent, d.Error, len(d.History),
				d.CreatedAt.Truncate(time.Millisecond).UTC(), d.CompletedAt.Truncate(time.Millisecond).UTC(), due))
		}
		if f.Before = page.Next; page.Next == "" {
			return all
		}
	}
}

func reopened(t *testing.T, dir string) *queue.Queue {
	t.Helper()
	q, err := queue.Open(context.Background(), queue.Options{Dir: dir, Moving: true})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestTakeOver_AllThatAnAgentLeft(t *testing.T) {
	now := time.Now()
	dir := state(t, 0, 40, func() time.Time { return now })
	before := reopened(t, dir)
	want := everything(t, before)
	before.Close()

	q := openAt(t, postgres.Options{URL: pgtest.Server(t)})
	ctx := context.Background()
	// Another agent has queued one of them already: it is not queued again.
	if _, err := q.Commit(ctx, queue.Batch{Source: "agent-1:/log", Cursor: []byte("1"), Events: []queue.NewEvent{numbered(39, "a")}}); err != nil {
		t.Fatal(err)
	}
	done := takeOver(t, dir, "agent-0", q, nil)
	if done.Events != 39 || done.Known != 1 || done.Deliveries != 78 || done.Rejected != 1 || done.Cursors != 1 || done.Damaged != 0 {
		t.Errorf("%+v", done)
	}
	if got := everything(t, q)[1:]; !slices.Equal(got, want[2:]) { // newest first: 39 is another's
		t.Errorf("moved:\n%s\nof\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	e, err := q.Event(numbered(3).ID)
	if err != nil || string(e.Body) != `{"n": 3}` || e.Source != "agent-0:/log" {
		t.Errorf("event %+v, %v", e, err)
	}
	cursor, gen, err := q.Cursor("agent-0:/log")
	if err != nil || string(cursor) != "here" || gen == 0 {
		t.Errorf("cursor %q of generation %d, %v", cursor, gen, err)
	}
	state, err1 := q.State("a")
	pause, err2 := q.Pause("b")
	if string(state) != `{"held":1}` || string(pause) != `"by hand"` || err1 != nil || err2 != nil {
		t.Errorf("state %s, pause %s, %v %v", state, pause, err1, err2)
	}
	if rejected, _, err := q.Rejected(ctx, queue.RejectedFilter{}); err != nil || len(rejected) != 1 || rejected[0].Source != "agent-0:/log" {
		t.Errorf("rejected %+v, %v", rejected, err)
	}
	// It goes on where the agent was, and what it read is known.
	again, err := q.Commit(ctx, queue.Batch{
		Source: "agent-0:/log", Cursor: []byte("on"), Gen: gen, Events: []queue.NewEvent{numbered(1, "a"), numbered(1000, "a")},
		Rejected: []queue.Rejected{{Source: "agent-0:/log", Path: "/log", Offset: 7, Reason: "odd"}},
	})
	if err != nil || again.Duplicates != 1 || len(again.Queued) != 1 {
		t.Errorf("%+v, %v", again, err)
	}
	if n := q.Stats().Rejected; n != 1 {
		t.Errorf("%d rejected", n)
	}
	if _, err := queue.Open(ctx, queue.Options{Dir: dir}); !errors.Is(err, queue.ErrMovedAway) {
		t.Errorf("the state that was moved opens: %v", err)
	}
	counts := q.Counts()
	if done := takeOver(t, dir, "agent-0", q, nil); done != (postgres.Transferred{}) {
		t.Errorf("again: %+v", done)
	}
	if got := fmt.Sprint(q.Counts()); got != fmt.Sprint(counts) {
		t.Errorf("again it came to %s, before to %v", got, counts)
	}
}

// TestTakeOver_TwoThatCountedTheSameNanoseconds: what orders one agent's events may be another's, too.
func TestTakeOver_TwoThatCountedTheSameNanoseconds(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	q := openAt(t, postgres.Options{URL: pgtest.Server(t)})
	for i, name := range []string{"agent-0", "agent-1"} {
		if done := takeOver(t, state(t, 100*i, 20, clock), name, q, nil); done.Events != 20 || done.Rejected != 1 {
			t.Errorf("%s: %+v", name, done)
		}
	}
	if n := len(everything(t, q)); n != 80 {
		t.Errorf("%d deliveries", n)
	}
	for _, n := range []int{0, 19, 100, 119} {
		if e, err := q.Event(numbered(n).ID); err != nil || string(e.Body) != fmt.Sprintf(`{"n": %d}`, n) {
			t.Errorf("event %d: %s, %v", n, e.Body, err)
		}
	}
	if n := q.Stats().Rejected; n != 2 {
		t.Errorf("%d rejected", n)
	}
}

const takeOverChild = "INTELLIDOCS_TAKE_OVER"

// TestTakeOver_KilledAndBegunAgain kills it again and again after its first parts.
func TestTakeOver_KilledAndBegunAgain(t *testing.T) {
	if at := os.Getenv(takeOverChild); at != "" {
		dir, url, _ := strings.Cut(at, "\n")
		q := openAt(t, postgres.Options{URL: url})
		in := bufio.NewReader(os.Stdin)
		takeOver(t, dir, "agent-0", q, func(m postgres.Transferred) {
			fmt.Println("moved", m.Events)
			_, _ = in.ReadString('\n')
		})
		return
	}
	url := pgtest.Server(t)
	const n = 3000
	dir := state(t, 0, n, time.Now)
	before := reopened(t, dir)
	want := everything(t, before)
	before.Close()
	kills := 0
	for round := 0; !killed(t, dir+"\n"+url, round); round++ {
		kills++
	}
	q := openAt(t, postgres.Options{URL: url})
	got := everything(t, q)
	if kills < 2 || !slices.Equal(got, want) {
		t.Errorf("after %d kills %d deliveries of %d", kills, len(got), len(want))
	}
	if n := q.Counts()["a"][queue.Success]; n != int64(len(want))/8 {
		t.Errorf("%d delivered, by the counts", n)
	}
	if cursor, _, err := q.Cursor("agent-0:/log"); string(cursor) != "here" || err != nil {
		t.Errorf("cursor %q, %v", cursor, err)
	}
}

// killed has another process take over, and kills it: after its first part in the first two rounds, during the
// second one in the next two. It reports whether the process came to its end all the same.
func killed(t *testing.T, what string, round int) (ended bool) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	c.Env = append(os.Environ(), takeOverChild+"="+what)
	in, err1 := c.StdinPipe()
	out, err2 := c.StdoutPipe()
	if err := errors.Join(err1, err2, c.Start()); err != nil {
		t.Fatal(err)
	}
	for seen := bufio.NewScanner(out); seen.Scan(); {
		if !strings.HasPrefix(seen.Text(), "moved") {
			continue
		}
		if round >= 2 {
			fmt.Fprintln(in)
		}
		if round < 4 {
			c.Process.Kill()
		}
	}
	err := c.Wait()
	if round >= 4 && err != nil {
		t.Fatal(err)
	}
	return err == nil
}
