// Package dispatch delivers what is due: it decides which webhooks want an event, when
// each delivery is tried, and what an attempt's result means. Sending one attempt is the
// business of package send, keeping the deliveries that of a Store.
//
// Every webhook has a worker of its own, and no lock is held over I/O, so that a webhook
// that hangs, fails or is held never delays another.
package dispatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// Sender makes one attempt. It ends when ctx does, with send.Stopped.
type Sender interface {
	Send(ctx context.Context, m send.Message) send.Result
}

// Webhook is one receiver and how it is served.
type Webhook struct {
	Name    string // unique
	Enabled bool
	// Parked: the agent as a whole is disabled. What the webhook wants is queued for it
	// and not sent.
	Parked bool

	Events  []string // exact names, or with * for any run of characters; empty: all
	Filter  *Filter  // over the payload; nil: all
	Ordered bool     // strictly one after another, in the order the events were read

	RateLimit   float64 // attempts a second; 0: no limit
	Concurrency int     // attempts at once; 0: 8

	MaxRetries    int           // after the first attempt
	RetryDelay    time.Duration // before the first retry, doubling with each
	RetryMaxDelay time.Duration // cap of it; 0: none
	RetryJitter   float64       // up to this fraction of the delay is added on top

	BreakerFailures int           // outage failures in a row that hold the webhook; 0: never
	Timeout         time.Duration // of one attempt; the Sender keeps it

	Sender Sender
	// Digest identifies the webhook's whole configuration. A pause that a 410 caused
	// lifts when it changes. Two webhooks of equal digest are taken for equal.
	Digest string
	// Loaded is when the configuration was, where several agents share the store and may have
	// different ones for a while; else zero. A pause of after that does not lift.
	Loaded time.Time
}

const defaultConcurrency = 8

// maxReads is how many webhooks' due deliveries are read at once.
const maxReads = 4

// recordGrace is how long after the grace period a store that fails may still be tried.
const recordGrace = 2 * time.Second

// Options are what a Dispatcher works with.
type Options struct {
	Store Store
	// Agent is this agent's name among those that share the store; "" where it has one alone.
	Agent string
	// Grace is how long attempts under way may continue once Run's context has ended.
	Grace time.Duration
	// SmallMemory: there is little, as in a small container. Fewer large events are under way at once.
	SmallMemory bool
	Logger      *slog.Logger          // nil: none
	Registerer  prometheus.Registerer // nil: metrics are kept but not registered
	// Notice is told of what people should hear of; nil: nobody is. It must not block.
	Notice func(Notice)
	// Attempted is told of each attempt whose outcome is durable, with its event's trace; nil:
	// nobody is. It must not block.
	Attempted func(d queue.Delivery, traceID string, o queue.Outcome)
}

// Dispatcher delivers events to webhooks. Apply sets the webhooks, Run starts delivering.
type Dispatcher struct {
	store   Store
	agent   string
	changed chan struct{} // the webhooks were, which the store must know
	grace   time.Duration
	log     *slog.Logger
	metrics *metrics
	notice  func(Notice)
	traced  func(queue.Delivery, string, queue.Outcome)
	routes  atomic.Pointer[[]route]
	ahead   atomic.Int64 // each worker's readAhead

	mu      sync.Mutex // workers, order, running; never held over I/O
	workers map[string]*worker
	order   []string // names in configuration order
	start   func(*worker)

	budget   *budgets
	reads    chan struct{} // has a place for each read of due deliveries: what they read takes memory
	recorder *recorder

	applying sync.Mutex // one Apply at a time
}

// New makes a Dispatcher without webhooks.
func New(o Options) *Dispatcher {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Dispatcher{
		store:   o.Store,
		agent:   o.Agent,
		changed: make(chan struct{}, 1),
		grace:   o.Grace,
		log:     o.Logger,
		notice:  o.Notice,
		traced:  o.Attempted,
		workers: map[string]*worker{},
		budget:  newBudgets(o.SmallMemory),
		reads:   make(chan struct{}, maxReads),
	}
	d.recorder = newRecorder(d)
	d.routes.Store(new([]route))
	d.metrics = newMetrics(o.Registerer, d.ownStates)
	return d
}

// Apply makes these the webhooks, at first and at every reload: all of them, or, on an
// error, none. What has not changed continues undisturbed. A webhook that is disabled or no
// longer there claims nothing further; attempts under way finish, its other deliveries
// stay where they are until it returns.
func (d *Dispatcher) Apply(webhooks []Webhook) error {
	d.applying.Lock()
	defer d.applying.Unlock()

	webhooks = slices.Clone(webhooks)
	var errs []error
	seen := map[string]bool{}
	for i := range webhooks {
		w := &webhooks[i]
		w.Concurrency = cmp.Or(w.Concurrency, defaultConcurrency)
		if err := w.validate(); err != nil {
			errs = append(errs, fmt.Errorf("webhook %q: %w", w.Name, err))
		}
		if seen[w.Name] {
			errs = append(errs, fmt.Errorf("webhook %q: the name is used twice; give each webhook its own", w.Name))
		}
		seen[w.Name] = true
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	added, err := d.newWorkers(webhooks)
	if err != nil {
		return err
	}
	d.install(webhooks, added)
	routes := newRoutes(webhooks, d.metrics.filterErrors)
	d.routes.Store(&routes)
	select {
	case d.changed <- struct{}{}:
	default:
	}
	return nil
}

func (w *Webhook) validate() error {
	switch {
	case w.Name == "":
		return errors.New("it has no name")
	case w.Enabled && w.Sender == nil:
		return errors.New("it has no sender")
	case w.Concurrency < 0, w.MaxRetries < 0, w.BreakerFailures < 0, w.RateLimit < 0:
		return errors.New("concurrency, max_retries, breaker_failures and rate_limit cannot be negative")
	case w.RetryDelay < 0, w.RetryMaxDelay < 0, w.RetryJitter < 0:
		return errors.New("retry_delay, retry_max_delay and retry_jitter cannot be negative")
	}
	return nil
}

// newWorkers makes a worker, with the state it was left in, for each webhook that has none.
func (d *Dispatcher) newWorkers(webhooks []Webhook) (map[string]*worker, error) {
	d.mu.Lock()
	known := d.workers
	d.mu.Unlock()
	added := map[string]*worker{}
	var errs []error
	for _, cfg := range webhooks {
		if known[cfg.Name] != nil {
			continue
		}
		known, err := d.readStored(cfg.Name)
		if err != nil {
			errs = append(errs, fmt.Errorf("webhook %q: read whether it is paused or held: %w", cfg.Name, err))
			continue
		}
		w := newWorker(d, cfg, known)
		if last, failed, err := d.store.LastFailed(context.Background(), cfg.Name); err == nil && failed { // else it shows with its next attempt
			w.stats.failedBefore(last)
		}
		added[cfg.Name] = w
	}
	return added, errors.Join(errs...)
}

// readStored reads what the store has about a webhook. Where the store cannot be reached, its
// Holding brings it.
func (d *Dispatcher) readStored(name string) (stored, error) {
	state, err := d.store.State(name)
	if err == nil {
		var pause []byte
		if pause, err = d.store.Pause(name); err == nil {
			return stored{state, pause}, nil
		}
	}
	if errors.Is(err, queue.ErrUnavailable) {
		err = nil
	}
	return stored{}, err
}

func (d *Dispatcher) install(webhooks []Webhook, added map[string]*worker) {
	d.mu.Lock()
	defer d.mu.Unlock()
	// Copied, not changed in place: newWorkers reads the map it was given without the lock.
	workers := maps.Clone(d.workers)
	order := make([]string, 0, len(webhooks))
	kept := map[string]bool{}
	d.ahead.Store(int64(readAhead(len(webhooks))))
	for _, cfg := range webhooks {
		order = append(order, cfg.Name)
		kept[cfg.Name] = true
		if w := added[cfg.Name]; w != nil {
			workers[cfg.Name] = w
			if d.start != nil {
				d.start(w)
			}
			continue
		}
		workers[cfg.Name].configure(cfg)
	}
	for name, w := range workers {
		if !kept[name] {
			// It stays until what it has in flight has ended, which a successor of the
			// same name must not send again.
			w.remove()
		}
	}
	d.workers, d.order = workers, order
}

// retire lets go of a worker whose webhook was removed, unless it has returned. The worker
// asks for it itself, with nothing in flight.
func (d *Dispatcher) retire(w *worker) bool {
	if !w.gone() {
		return false
	}
	d.applying.Lock() // which may bring it back
	defer d.applying.Unlock()
	if !w.gone() {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.workers = maps.Clone(d.workers) // others read the one they were given without the lock
	delete(d.workers, w.name)
	return true
}

// Notify says that these webhooks have new deliveries. It never blocks.
func (d *Dispatcher) Notify(webhooks []string) {
	d.mu.Lock()
	workers := d.workers
	d.mu.Unlock()
	for _, name := range webhooks {
		if w := workers[name]; w != nil {
			w.poke()
		}
	}
}

// Pause holds back the webhook's deliveries until Resume, also across restarts. Attempts
// under way finish. An error means that nothing has changed.
func (d *Dispatcher) Pause(ctx context.Context, name, reason string) error {
	w, err := d.workerOf(name)
	if err != nil {
		return err
	}
	return w.setPause(ctx, &pause{Reason: reason, Since: time.Now()})
}

// Resume lets the webhook's deliveries go: it ends a pause, whatever caused it, and
// closes the breaker. An error means that nothing has changed.
func (d *Dispatcher) Resume(ctx context.Context, name string) error {
	w, err := d.workerOf(name)
	if err != nil {
		return err
	}
	return w.setPause(ctx, nil)
}

// ErrUnknownWebhook is what Pause and Resume return for a name that is not configured.
var ErrUnknownWebhook = errors.New("no such webhook")

func (d *Dispatcher) workerOf(name string) (*worker, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if slices.Contains(d.order, name) {
		return d.workers[name], nil
	}
	known := slices.Sorted(slices.Values(d.order))
	if len(known) == 0 {
		return nil, fmt.Errorf("%w: %q; none is configured", ErrUnknownWebhook, name)
	}
	return nil, fmt.Errorf("%w: %q; the configured ones are %s", ErrUnknownWebhook, name, strings.Join(known, ", "))
}
