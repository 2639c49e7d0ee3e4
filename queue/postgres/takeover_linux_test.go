package postgres_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/dispatch/target"
	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

const (
	fleetChild    = "INTELLIDOCS_FLEET_AGENT"
	fleetLease    = 3 * time.Second
	fleetTimeout  = time.Second
	fleetParallel = 4 // of the webhook "free"
)

// fleetAgent is how a process of the fleet is started.
type fleetAgent struct{ Name, Database, Receiver string }

// serve is an agent without sources: the shared queue and the dispatcher.
func (a fleetAgent) serve(ctx context.Context) error {
	q, d, err := a.open(ctx, slog.New(slog.NewTextHandler(os.Stderr, nil)).With("agent", a.Name), "ordered", "free")
	if err != nil {
		return err
	}
	defer q.Close()
	return d.Run(ctx)
}

// open is the agent's part of the shared queue, and its dispatcher with webhooks.
func (a fleetAgent) open(ctx context.Context, log *slog.Logger, names ...string) (*postgres.Queue, *dispatch.Dispatcher, error) {
	var d *dispatch.Dispatcher
	q, err := postgres.Open(ctx, postgres.Options{
		URL: a.Database, Agent: a.Name, Lease: fleetLease, Replication: "trust", Logger: log,
		Notify: func(webhooks []string) { d.Notify(webhooks) },
	})
	if err != nil {
		return nil, nil, err
	}
	d = dispatch.New(dispatch.Options{Store: q, Agent: a.Name, Grace: time.Second, Logger: log})
	var webhooks []dispatch.Webhook
	for _, name := range names {
		e, err := send.New(send.Config{
			Webhook: name, URL: a.Receiver + "/" + name, Headers: map[string]string{"Agent": a.Name}, Timeout: fleetTimeout,
		}, target.Policy{Schemes: []string{"http"}, AllowInternal: true}, log)
		if err != nil {
			return nil, nil, errors.Join(err, q.Close())
		}
		webhooks = append(webhooks, dispatch.Webhook{
			Name: name, Enabled: true, Ordered: name == "ordered", Concurrency: fleetParallel, MaxRetries: 100, RetryDelay: 100 * time.Millisecond,
			Timeout: fleetTimeout, Sender: e, Digest: name,
		})
	}
	if err := d.Apply(webhooks); err != nil {
		return nil, nil, errors.Join(err, q.Close())
	}
	return q, d, nil
}

// arrival is a request as the receiver saw it.
type arrival struct{ webhook, id, agent string }

// receiver answers everything with 200, after a moment.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	all      []arrival
	atOnce   map[string]int
	mostOnce map[string]int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{atOnce: map[string]int{}, mostOnce: map[string]int{}}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	a := arrival{req.URL.Path[1:], req.Header.Get("Webhook-Id"), req.Header.Get("Agent")}
	r.mu.Lock()
	r.all = append(r.all, a)
	r.atOnce[a.webhook]++
	r.mostOnce[a.webhook] = max(r.mostOnce[a.webhook], r.atOnce[a.webhook])
	r.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	r.mu.Lock()
	r.atOnce[a.webhook]--
	r.mu.Unlock()
}

// of are the requests to a webhook, by an agent, "" for all.
func (r *receiver) of(webhook, agent string) (all []arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.all {
		if a.webhook == webhook && (agent == "" || a.agent == agent) {
			all = append(all, a)
		}
	}
	return all
}

// process is an agent of the fleet, with a way of its own to the database.
type process struct {
	fleetAgent
	*exec.Cmd
	way *pgtest.Proxy
}

func startAgent(t *testing.T, name, database string, r *receiver) *process {
	t.Helper()
	way, url := pgtest.Through(t, database)
	p := &process{fleetAgent: fleetAgent{name, url, r.URL}, way: way}
	spec, err := json.Marshal(p.fleetAgent)
	if err != nil {
		t.Fatal(err)
	}
	p.Cmd = exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	p.Env = append(os.Environ(), fleetChild+"="+string(spec))
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if testing.Verbose() {
		p.Stdout, p.Stderr = os.Stderr, os.Stderr
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end() })
	return p
}

func (p *process) end() {
	_ = p.Process.Signal(syscall.SIGCONT)
	_ = p.Process.Kill()
	_ = p.Wait()
}

// TestPromise_WebhooksOfAnAgentThatFails has the owner of a webhook killed, another stopped beyond its lease and the third
// cut off from the database, one after another.
func TestPromise_WebhooksOfAnAgentThatFails(t *testing.T) {
	if spec := os.Getenv(fleetChild); spec != "" {
		var a fleetAgent
		if err := json.Unmarshal([]byte(spec), &a); err != nil {
			t.Fatal(err)
		}
		ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
		defer stop()
		if err := a.serve(ctx); err != nil {
			t.Fatal(err)
		}
		return
	}
	f := newFaults(t)
	f.serves("") // somebody begins

	killed := f.owner()
	f.agents[killed].end()
	f.takenOver("killed", killed)

	stopped := f.owner()
	f.signal(stopped, syscall.SIGSTOP)
	f.takenOver("stopped", stopped)
	f.signal(stopped, syscall.SIGCONT)

	cut := f.owner()
	f.agents[cut].way.Hold()
	f.takenOver("cut off", cut)
	f.agents[cut].way.Restore()

	f.finish()
}

// faults is a fleet of three under a steady stream of events.
type faults struct {
	t      *testing.T
	url    string
	q      *postgres.Queue
	r      *receiver
	agents map[string]*process
	queued int
	gen    int64
}

func newFaults(t *testing.T) *faults {
	f := &faults{t: t, url: pgtest.Server(t), r: newReceiver(t), agents: map[string]*process{}}
	f.q = openAt(t, postgres.Options{URL: f.url, Agent: "reader"})
	for _, name := range []string{"agent-0", "agent-1", "agent-2"} {
		f.agents[name] = startAgent(t, name, f.url, f.r)
	}
	return f
}

// queue queues some more events for both webhooks.
func (f *faults) queue(n int) {
	f.t.Helper()
	b := queue.Batch{Source: "reader:/log", Gen: f.gen, Cursor: []byte{1}}
	for range n {
		b.Events = append(b.Events, numbered(f.queued, "ordered", "free"))
		f.queued++
	}
	done, err := f.q.Commit(f.t.Context(), b)
	if err != nil {
		f.t.Fatal(err)
	}
	f.gen = done.Gen
}

// owner is who serves the ordered webhook.
func (f *faults) owner() (name string) {
	f.t.Helper()
	eventually(f.t, "somebody to serve it", func() bool {
		agents, err := f.q.Agents(f.t.Context())
		if err != nil {
			f.t.Fatal(err)
		}
		i := slices.IndexFunc(agents, func(a queue.Agent) bool { return a.Live && slices.Contains(a.Webhooks, "ordered") })
		if i >= 0 {
			name = agents[i].Name
		}
		return i >= 0
	})
	return name
}

// serves returns once another agent than that has delivered something new, of what is queued meanwhile.
func (f *faults) serves(not string) {
	f.t.Helper()
	before := len(f.r.of("ordered", ""))
	eventually(f.t, "another agent to deliver", func() bool {
		if f.queued < len(f.r.of("ordered", ""))+20 {
			f.queue(5)
		}
		others := 0
		for _, a := range f.r.of("ordered", "")[before:] {
			if a.agent != not {
				others++
			}
		}
		return others >= 3
	})
}

func (f *faults) takenOver(how, from string) {
	f.t.Helper()
	at := time.Now()
	f.serves(from)
	f.t.Logf("%s: taken over after %s (lease %s, timeout %s)", how, time.Since(at).Round(10*time.Millisecond), fleetLease, fleetTimeout)
}

func (f *faults) signal(name string, s syscall.Signal) {
	f.t.Helper()
	if err := f.agents[name].Process.Signal(s); err != nil {
		f.t.Fatal(err)
	}
}

// finish has everything delivered, and judges what the receiver saw.
func (f *faults) finish() {
	f.t.Helper()
	f.queue(20)
	eventually(f.t, "everything to be delivered", func() bool {
		c := f.q.Counts()
		return c["ordered"][queue.Success] == int64(f.queued) && c["free"][queue.Success] == int64(f.queued)
	})
	for _, webhook := range []string{"ordered", "free"} {
		var first []string
		times := map[string][]string{}
		for _, a := range f.r.of(webhook, "") {
			if len(times[a.id]) == 0 {
				first = append(first, a.id)
			}
			times[a.id] = append(times[a.id], a.agent)
		}
		repeats := 0
		for id, agents := range times {
			repeats += len(agents) - 1
			if len(agents) > 1 {
				f.t.Logf("%s: %s was sent by %v", webhook, id[len(id)-4:], agents)
			}
		}
		// What is sent again is what was under way, and what was sent while its outcome waited for
		// the commit before it: an ordered webhook has one of these.
		if len(first) != f.queued {
			f.t.Errorf("%s: %d of %d events arrived, with %d repeats", webhook, len(first), f.queued, repeats)
		}
		if webhook == "ordered" && (repeats > 3 || !slices.IsSortedFunc(first, cmp.Compare[string])) {
			f.t.Errorf("the ordered webhook: %d repeats, in order: %t", repeats, slices.IsSorted(first))
		}
	}
	if most := f.r.mostOnce; most["ordered"] > 1 || most["free"] > fleetParallel {
		f.t.Errorf("requests at once: %v", most)
	}
}
