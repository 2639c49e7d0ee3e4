package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
)

// mixHook is a webhook's endpoint that answers as its mood is, and keeps the books.
type mixHook struct {
	name   string
	mood   func(event int, rng *rand.Rand) int // a status; 0 hangs up
	server *httptest.Server
	load   *load // nil: nobody asks

	mu       sync.Mutex
	rng      *rand.Rand
	calm     bool
	requests int
	got      map[int]bool   // events taken with 2xx
	ids      map[int]string // by event, the one id that it came under
	first    []int          // events in the order in which they were first sent
	writers  int            // their numbers' remainders by this are their logs; the order is within each
	wrong    []string
}

func newMixHook(t *testing.T, name string, seed uint64, mood func(event int, rng *rand.Rand) int) *mixHook {
	h := &mixHook{name: name, mood: mood, rng: rand.New(rand.NewPCG(seed, 1)), got: map[int]bool{}, ids: map[int]string{}, writers: 1}
	h.server = httptest.NewServer(h)
	t.Cleanup(h.server.Close)
	return h
}

func (h *mixHook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the agent was killed
	}
	if h.load != nil {
		defer h.load.enter(r)()
	}
	status := h.take(r.Header.Get("webhook-id"), body)
	switch status {
	case 0:
		panic(http.ErrAbortHandler)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
}

func (h *mixHook) take(id string, body []byte) (status int) {
	var e struct{ N int }
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := json.Unmarshal(body, &e); err != nil {
		h.wrong = append(h.wrong, err.Error())
		return http.StatusBadRequest
	}
	h.requests++
	if known, ok := h.ids[e.N]; !ok {
		h.ids[e.N] = id
		h.first = append(h.first, e.N)
	} else if known != id {
		h.wrong = append(h.wrong, fmt.Sprintf("event %d came under %s and %s", e.N, known, id))
	}
	if status = http.StatusOK; !h.calm {
		status = h.mood(e.N, h.rng)
	}
	if status == http.StatusOK {
		h.got[e.N] = true
	}
	return status
}

func (h *mixHook) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests
}

// mix is the program between a log that is rotated and three webhooks.
type mix struct {
	*rig
	rng     *rand.Rand
	hooks   []*mixHook
	enabled map[string]bool
	off     bool // the agent as a whole
	version int
	*scribe

	shared *fleetMember // nil: the queue is the agent's own
}

// The one that is healthy is there to see that the others do not disturb it.
func mixHooks(t *testing.T, seed uint64) []*mixHook {
	often := func(n int, status ...int) func(int, *rand.Rand) int {
		return func(_ int, rng *rand.Rand) int {
			if rng.IntN(n) == 0 {
				return status[rng.IntN(len(status))]
			}
			return http.StatusOK
		}
	}
	// In order, what the receiver never takes must be given up for the rest to come.
	choking := func(event int, rng *rand.Rand) int {
		if event%100 == 50 {
			return http.StatusInternalServerError
		}
		return often(10, 500, 500, 500, 0, 0, 0, 0, 0, 0, 429)(event, rng)
	}
	return []*mixHook{
		newMixHook(t, "steady", seed, often(1, http.StatusOK)),
		newMixHook(t, "shaky", seed, often(4, 429, 500, 404, 0)),
		newMixHook(t, "strict", seed, choking),
	}
}

func newMix(t *testing.T) *mix {
	seed := newSeed(t)
	m := &mix{rig: newRig(t, ""), rng: rand.New(rand.NewPCG(seed, 0)), enabled: map[string]bool{}, hooks: mixHooks(t, seed)}
	m.scribe = newScribe(t, m.log)
	for _, h := range m.hooks {
		m.enabled[h.name] = true
	}
	m.write()
	return m
}

func newSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return seed
}

// write writes agent.toml; every time it says something else.
func (m *mix) write() {
	m.t.Helper()
	m.version++
	text := fmt.Sprintf(`enabled = %v
[state]
path = %q
[[source]]
path = %q
[admin]
listen = ""
[defaults]
max_retries = 2
retry_delay = "10ms"
`, !m.off, m.state(), m.log)
	timeout := fmt.Sprint(10 + m.version)
	if m.shared != nil {
		text, timeout = m.shared.configure(text), fmt.Sprintf("\"%dms\"", 1000+m.version)
	}
	for _, h := range m.hooks {
		breaker := 20
		if h.name == "shaky" {
			breaker = 5
		}
		text += fmt.Sprintf("[[webhook]]\nname = %q\nurl = %q\nenabled = %v\nordered = %v\ntimeout = %s\nbreaker_failures = %d\n",
			h.name, h.server.URL, m.enabled[h.name], h.name == "strict", timeout, breaker)
		if m.shared != nil {
			text += m.shared.webhook(h)
		}
	}
	tmp := m.toml + ".new"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(tmp, m.toml); err != nil {
		m.t.Fatal(err)
	}
}

func (m *mix) state() string { return filepath.Join(m.dir, "state") }

func (m *mix) must(args ...string) {
	m.t.Helper()
	if out, err := m.run(args...); err != nil {
		m.t.Errorf("%v: %v\n%s", args, err, out)
	}
}

// status is what the agent tells of a webhook, once it answers.
func (m *mix) status(h *mixHook) (st admin.WebhookStatus) {
	m.t.Helper()
	m.rig.status(func(all admin.Status) bool {
		i := slices.IndexFunc(all.Webhooks, func(w admin.WebhookStatus) bool { return w.Name == h.name })
		if i >= 0 {
			st = all.Webhooks[i]
		}
		return i >= 0
	})
	return st
}

func (m *mix) any() *mixHook { return m.hooks[m.rng.IntN(len(m.hooks))] }

func (m *mix) coin() bool { return m.rng.IntN(2) == 0 }

// hangup asks for the configuration to be read again, of an agent that listens by now.
func (m *mix) hangup() {
	m.status(m.hooks[0])
	_ = m.cmd.Process.Signal(syscall.SIGHUP)
}

// crash kills the agent; once in a while a person does something while it is down.
func (m *mix) crash() {
	m.kill(syscall.SIGKILL)
	if m.coin() {
		m.replay(m.any())
	}
	m.start()
}

// hold pauses a webhook and sees that it is sent nothing, whatever else happens.
func (m *mix) hold() {
	h := m.any()
	m.must("pause", h.name)
	m.quiet(h)
	m.must("resume", h.name)
}

// quiet sees that a webhook that is held back is sent nothing but what was under way.
func (m *mix) quiet(h *mixHook) {
	before := h.count()
	m.replay(h)
	if m.coin() {
		m.crash()
		m.status(h) // it runs
	}
	if n := h.count() - before; n > 8 {
		m.t.Errorf("%s was sent %d requests while it was held back", h.name, n)
	}
}

// replay queues some deliveries again.
func (m *mix) replay(h *mixHook) {
	status := []string{"success", "failed", "pending,retrying"}[m.rng.IntN(3)]
	args := []string{"replay", "--yes"}
	for _, row := range m.rows("--webhook", h.name, "--status", status, "--limit", "3") {
		args = append(args, row.ID)
	}
	if len(args) > 2 {
		m.must(args...)
	}
}

// reload changes every webhook's configuration, or turns the agent off for a moment.
func (m *mix) reload() {
	if m.coin() {
		m.off = true
		m.write()
		m.hangup()
		m.replay(m.any())
		m.off = false
	}
	m.write()
	m.hangup()
}

// disable takes a webhook away and gives it back. Nothing is written meanwhile, since a
// webhook that is disabled does not want it.
func (m *mix) disable() {
	m.writing.Lock()
	defer m.writing.Unlock()
	h := m.any()
	m.until("what was written to be queued", time.Minute, func() bool {
		n := int64(0)
		for _, of := range m.status(h).Counts {
			n += of
		}
		return n == int64(m.written)
	})
	change := func(enabled bool) {
		m.enabled[h.name] = enabled
		m.write()
		m.hangup()
		m.until("the change", time.Minute, func() bool { return (m.status(h).State.State != dispatch.Disabled) == enabled })
	}
	change(false)
	m.quiet(h)
	change(true)
}

// settle waits until a webhook has nothing left to do, lifting what holds it back.
func (m *mix) settle(h *mixHook) {
	m.until(h.name+" to have everything", time.Minute, func() bool {
		st := m.status(h)
		if st.State.State == dispatch.Held {
			m.must("resume", h.name)
		}
		return st.Counts.Waiting() == 0
	})
}

func TestMix_WhateverHappensEveryEventArrivesEverywhereUnderOneID(t *testing.T) {
	m := newMix(t)
	limit := 3 * time.Second
	if soak() {
		limit = 35 * time.Second
	}
	m.start()
	stop := m.produce()
	for begun := time.Now(); time.Since(begun) < limit; {
		[]func(){m.crash, m.hold, m.reload, m.disable, func() { m.replay(m.any()) }}[m.rng.IntN(5)]()
	}
	last := stop()
	begun := time.Now()
	m.untilQueued(m.hooks[0], last, time.Minute)
	for _, h := range m.hooks {
		h.check(m, last, begun)
	}
}

// untilQueued waits until there are deliveries of so many events for a webhook.
func (m *mix) untilQueued(h *mixHook, events int, limit time.Duration) {
	m.t.Helper()
	m.until("the last event to be queued", limit, func() bool {
		n := int64(0)
		for _, of := range m.status(h).Counts {
			n += of
		}
		return n == int64(events)
	})
}

// check has what is left delivered, and goes through the books.
func (h *mixHook) check(m *mix, n int, begun time.Time) {
	h.mu.Lock()
	h.calm = true
	h.mu.Unlock()
	m.settle(h)
	givenUp := m.status(h).Counts["failed"]
	if givenUp > 0 {
		m.must("replay", "--yes", "--webhook", h.name, "--status", "failed")
		m.settle(h)
	}
	if got := m.status(h).Counts; len(got) != 1 || got["success"] != int64(n) {
		m.t.Errorf("%s: %v of %d deliveries", h.name, got, n)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.got) != n || len(h.wrong) > 0 {
		m.t.Errorf("%s took %d of %d events; wrong: %q", h.name, len(h.got), n, h.wrong)
	}
	for e, id := range h.ids {
		if m.hooks[0].ids[e] != id {
			m.t.Errorf("%s: event %d came under %s, elsewhere under %s", h.name, e, id, m.hooks[0].ids[e])
		}
	}
	for writer := range h.writers {
		first := slices.DeleteFunc(slices.Clone(h.first), func(e int) bool { return e%h.writers != writer })
		if h.name == "strict" && !slices.IsSorted(first) {
			m.t.Errorf("%s: events were first sent in the order %v", h.name, first)
		}
	}
	m.t.Logf("%s: %d events, %d requests, %d given up at first, done after %s", h.name, n, h.requests, givenUp, time.Since(begun).Round(time.Millisecond))
}
