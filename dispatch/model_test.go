package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// modelStore is a Store in memory, for tests under a false clock. What it promises is
// what store.go says; the tests over a real queue see that the two agree.
type modelStore struct {
	mu         sync.Mutex
	deliveries []*queue.Delivery // in the order the events were read
	states     map[string][]byte
	pauses     map[string][]byte
	stateSets  int
	recorded   []queue.Outcome
	size       int // of each event
	looks      int // calls of Due
	mostLooks  int // how many are answered; 0: all

	failRecord, failRead, failState error
	eventErr                        map[string]error // by delivery

	failures map[string]queue.Attempt // the last, by webhook

	own    func(context.Context, queue.Server) error // nil: everything, for ever
	agents []queue.Agent
	late   []string // webhooks whose outcomes Record says to be late
	served bool     // by another agent
}

func newModelStore() *modelStore {
	return &modelStore{states: map[string][]byte{}, pauses: map[string][]byte{}, eventErr: map[string]error{}}
}

// add queues n events for the webhook and returns their delivery IDs.
func (s *modelStore) add(webhook string, n int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for range n {
		i := len(s.deliveries) + 1
		now := time.Now()
		d := &queue.Delivery{
			ID: fmt.Sprintf("dlv_%03d", i), EventID: fmt.Sprintf("evt_%03d", i), EventType: "scan_completed",
			Webhook: webhook, Status: queue.Pending, CreatedAt: now, NextAttemptAt: now, Size: s.size,
		}
		s.deliveries = append(s.deliveries, d)
		ids = append(ids, d.ID)
	}
	return ids
}

func (s *modelStore) find(id string) *queue.Delivery {
	for _, d := range s.deliveries {
		if d.ID == id {
			return d
		}
	}
	return nil
}

func (s *modelStore) get(id string) queue.Delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.find(id)
}

func (s *modelStore) Get(id string) (queue.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.find(id); d != nil {
		return *d, nil
	}
	return queue.Delivery{}, queue.ErrNotFound
}

// unfinished are the webhook's, in the order of their events. s.mu is held.
func (s *modelStore) unfinished(webhook string) []queue.Delivery {
	var found []queue.Delivery
	for _, d := range s.deliveries {
		if d.Webhook == webhook && !d.NextAttemptAt.IsZero() {
			found = append(found, *d)
		}
	}
	return found
}

func (s *modelStore) Due(webhook string, now time.Time, limit int, skip func(string) bool) ([]queue.Delivery, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failRead != nil {
		return nil, time.Time{}, s.failRead
	}
	if s.looks++; s.mostLooks > 0 && s.looks > s.mostLooks {
		return nil, time.Time{}, errors.New("asked too often")
	}
	waiting := s.unfinished(webhook)
	slices.SortStableFunc(waiting, func(a, b queue.Delivery) int { return a.NextAttemptAt.Compare(b.NextAttemptAt) })
	var due []queue.Delivery
	for _, d := range waiting {
		if skip(d.ID) {
			continue
		}
		if d.NextAttemptAt.After(now) || len(due) == limit {
			return due, d.NextAttemptAt, nil
		}
		due = append(due, d)
	}
	return due, time.Time{}, nil
}

func (s *modelStore) Head(webhook string) (queue.Delivery, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.unfinished(webhook)
	if s.failRead != nil || len(waiting) == 0 {
		return queue.Delivery{}, false, s.failRead
	}
	return waiting[0], true, nil
}

func (s *modelStore) EventOf(deliveryID string) (queue.Event, error) {
	s.mu.Lock()
	err := s.eventErr[deliveryID]
	eventID := s.find(deliveryID).EventID
	s.mu.Unlock()
	if err != nil {
		return queue.Event{}, err
	}
	return queue.Event{ID: eventID, Type: "scan_completed", Body: []byte("{}"), ReadAt: time.Now()}, nil
}

func (s *modelStore) Record(_ context.Context, outcomes ...queue.Outcome) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failRecord != nil {
		return s.failRecord
	}
	var late []string
	for _, o := range outcomes {
		d := s.find(o.DeliveryID)
		d.Status, d.NextAttemptAt, d.LastAttemptAt, d.Error = o.Status, o.Due, o.Attempt.At, o.Attempt.Error
		d.Attempts++
		if !o.Free {
			d.Spent++
		}
		s.recorded = append(s.recorded, o)
		if slices.Contains(s.late, d.Webhook) {
			late = append(late, d.Webhook)
		}
	}
	if late != nil {
		return &queue.NotOwner{Webhooks: late}
	}
	return nil
}

func (s *modelStore) LastFailed(_ context.Context, webhook string) (queue.Attempt, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.failures[webhook]
	return a, ok, nil
}

func (s *modelStore) State(webhook string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.states[webhook], s.failState
}

func (s *modelStore) SetState(_ context.Context, webhook string, _ int64, state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.served {
		return &queue.NotOwner{Webhooks: []string{webhook}}
	}
	if s.failState != nil {
		return s.failState
	}
	s.states[webhook] = slices.Clone(state)
	s.stateSets++
	return nil
}

// Own tells that everything is the dispatcher's, for ever, unless a test moves the holdings.
func (s *modelStore) Own(ctx context.Context, server queue.Server) error {
	if s.own != nil {
		return s.own(ctx, server)
	}
	for {
		var all []queue.Holding
		for _, w := range server.Webhooks() {
			state, _ := s.State(w.Webhook)
			pause, _ := s.Pause(w.Webhook)
			all = append(all, queue.Holding{Webhook: w.Webhook, Epoch: 1, State: state, Pause: pause})
		}
		server.Hold(all)
		select {
		case <-ctx.Done():
			return nil
		case <-server.Changed:
		}
	}
}

func (s *modelStore) Agents(context.Context) ([]queue.Agent, error) { return s.agents, nil }

func (s *modelStore) Pause(webhook string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pauses[webhook], s.failState
}

func (s *modelStore) SetPause(_ context.Context, webhook string, pause []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failState != nil {
		return s.failState
	}
	s.pauses[webhook] = slices.Clone(pause)
	s.stateSets++
	return nil
}

func (s *modelStore) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *modelStore) count(status queue.Status) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, d := range s.deliveries {
		if d.Status == status {
			n++
		}
	}
	return n
}

// endpoint is a Sender that answers as told and remembers what it was sent.
type endpoint struct {
	mu     sync.Mutex
	answer func(ctx context.Context, m send.Message) send.Result
	took   time.Duration
	sent   []sending
	now    int // attempts under way
	most   int
}

type sending struct {
	id      string
	attempt int
	at      time.Time
}

func (e *endpoint) Send(ctx context.Context, m send.Message) send.Result {
	e.mu.Lock()
	at := time.Now()
	e.sent = append(e.sent, sending{m.DeliveryID, m.Attempt, at})
	e.now++
	e.most = max(e.most, e.now)
	answer, took := e.answer, e.took
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.now--
		e.mu.Unlock()
	}()
	if took > 0 { // with -race, timers of no time at all have crashed Go 1.26 within a bubble
		sleep(ctx, took)
	}
	if ctx.Err() != nil {
		return send.Result{Class: send.Stopped}
	}
	r := answer(ctx, m)
	r.At, r.Took = at, time.Since(at)
	return r
}

func (e *endpoint) set(r send.Result) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answer = func(context.Context, send.Message) send.Result { return r }
}

func (e *endpoint) all() []sending {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.sent)
}

func (e *endpoint) ids() []string {
	var ids []string
	for _, s := range e.all() {
		ids = append(ids, s.id)
	}
	return ids
}

var (
	delivered   = send.Result{Class: send.Delivered, Status: 200}
	serverError = send.Result{Class: send.Retry, Outage: true, Status: 500, Error: "HTTP 500"}
	notFound    = send.Result{Class: send.Retry, Status: 404, Error: "HTTP 404"}
	tooMany     = send.Result{Class: send.Throttled, Status: 429, Error: "HTTP 429"}
	gone        = send.Result{Class: send.Gone, Status: 410, Error: "HTTP 410"}
	forbidden   = send.Result{Class: send.Dead, Error: "the address is not allowed"}
	noNetwork   = send.Result{Class: send.Offline, Error: "network is unreachable"}
)

func answering(r send.Result) *endpoint {
	e := &endpoint{}
	e.set(r)
	return e
}

// failing answers n times with r, then with delivered.
func failing(n int, r send.Result) *endpoint {
	e := &endpoint{}
	e.answer = func(context.Context, send.Message) send.Result {
		e.mu.Lock()
		defer e.mu.Unlock()
		if n--; n >= 0 {
			return r
		}
		return delivered
	}
	return e
}

func hook(name string, s Sender) Webhook {
	return Webhook{
		Name: name, Enabled: true, Sender: s, MaxRetries: 3,
		RetryDelay: time.Minute, RetryMaxDelay: time.Hour, Digest: "1",
	}
}

// bench is a dispatcher that runs over a model store, within a synctest bubble.
type bench struct {
	*Dispatcher
	store *modelStore
	log   *lockedBuffer
	end   func() // stops it and waits

	mu      sync.Mutex
	notices []Notice
}

func newBench(t *testing.T, store *modelStore, webhooks ...Webhook) *bench {
	t.Helper()
	b := &bench{store: store, log: &lockedBuffer{}}
	b.Dispatcher = New(Options{
		Store: store, Grace: 10 * time.Second,
		Logger: slog.New(slog.NewTextHandler(b.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
		Notice: b.heard,
	})
	if err := b.Apply(webhooks); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	var once sync.Once
	b.end = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	synctest.Wait()
	return b
}

// heard takes in what people are told.
func (b *bench) heard(n Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notices = append(b.notices, n)
}

// told are the kinds of what people were told by now, and the latest of it.
func (b *bench) told() (kinds []Kind, latest Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.notices {
		kinds, latest = append(kinds, n.Kind), n
	}
	return kinds, latest
}

// queue adds n events for the webhook and tells the dispatcher.
func (b *bench) queue(webhook string, n int) []string {
	ids := b.store.add(webhook, n)
	b.Notify([]string{webhook})
	return ids
}

func (b *bench) stateOf(t *testing.T, name string) State {
	t.Helper()
	for _, s := range b.States() {
		if s.Webhook == name {
			return s
		}
	}
	t.Fatalf("no state of %q", name)
	return State{}
}

// bubble runs f under a false clock.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// after lets d pass and everything settle.
func after(d time.Duration) {
	time.Sleep(d) // of the false clock
	synctest.Wait()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var errDisk = errors.New("no space left on device")
