package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// What is configured for the webhooks of a fleet, and must hold whoever serves them.
const (
	fleetRate   = 20 // a second, of "limited"
	fleetBurst  = 2  // what the limiter lets through at once: a tenth of a second's
	fleetAtOnce = 2  // of "steady" and "limited"
)

// load is what a receiver sees of the agents' keeping to their limits.
type load struct {
	atOnce int           // as configured
	takes  time.Duration // an answer

	mu       sync.Mutex
	calm     bool // nothing is measured any more, and answers come at once
	by       []string
	now      map[string]int // under way, by agent
	mostOnce int
	times    []time.Time
	late     map[string]int
}

// enter counts a request in, and out when it is over. A process that was stopped may send what it had begun when it goes
// on: no sender can prevent that.
func (l *load) enter(r *http.Request) (leave func()) {
	agent := r.Header.Get("Agent")
	l.mu.Lock()
	defer l.mu.Unlock()
	l.by = append(l.by, agent)
	if l.late[agent] > 0 {
		l.late[agent]--
		return func() {}
	}
	if l.calm {
		return func() {}
	}
	l.now[agent]++
	sum := 0
	for _, n := range l.now {
		sum += n
	}
	l.mostOnce = max(l.mostOnce, sum)
	l.times = append(l.times, time.Now())
	return func() {
		select {
		case <-time.After(l.takes):
		case <-r.Context().Done(): // the agent was killed
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.now[agent]--
	}
}

func (l *load) do(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// others are how many requests came from other agents than those, after the first so many.
func (l *load) others(after int, than ...string) (n int) {
	l.do(func() {
		for _, agent := range l.by[after:] {
			if !slices.Contains(than, agent) {
				n++
			}
		}
	})
	return n
}

// overRate is by how many requests any span of time held more than a rate allows: those that it let begin, and those
// that were under way as the span began, of the server and of one before it.
func (l *load) overRate(rate float64) (most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, from := range l.times {
		for j := i; j < len(l.times); j++ {
			allowed := int(rate*l.times[j].Sub(from).Seconds()) + 1 + fleetBurst + 2*l.atOnce
			most = max(most, j-i+1-allowed)
		}
	}
	return most
}

// fleetMember is what an agent's configuration has beside a mix's own.
type fleetMember struct {
	name, log string // the log that all share
	free      bool   // the webhooks have no limits any more
}

func (f *fleetMember) configure(text string) string {
	text = strings.Replace(text, "[state]", "[state]\ndedup_window = \"0s\"", 1) // what is read twice comes under two ids
	return text + fmt.Sprintf("[queue]\nengine = \"postgres\"\nurl_file = \"queue-url\"\nagent = %q\nlease = 3\nreplication = \"trust\"\n[[source]]\npath = %q\nshared = true\n", f.name, f.log)
}

func (f *fleetMember) webhook(h *mixHook) string {
	text := fmt.Sprintf("headers = { Agent = %q }\n", f.name)
	switch {
	case f.free:
	case h.name == "limited":
		text += fmt.Sprintf("rate_limit = %d\nconcurrency = %d\n", fleetRate, fleetAtOnce)
	case h.name == "steady":
		text += fmt.Sprintf("concurrency = %d\n", fleetAtOnce)
	}
	return text
}

// fleetMix is three agents with a log of their own each and one that they share, one queue, and webhooks whose limits are
// reached.
type fleetMix struct {
	t      *testing.T
	rng    *rand.Rand
	hooks  []*mixHook
	agents []*mix
	log    *scribe
}

func newFleetMix(t *testing.T) *fleetMix {
	seed := newSeed(t)
	f := &fleetMix{t: t, rng: rand.New(rand.NewPCG(seed, 0)), hooks: mixHooks(t, seed), log: newScribe(t, filepath.Join(t.TempDir(), "all.log"))}
	f.hooks = append(f.hooks, newMixHook(t, "limited", seed, func(int, *rand.Rand) int { return http.StatusOK }))
	const agents = 3
	for _, h := range f.hooks {
		h.writers = agents + 1
		h.load = &load{atOnce: fleetAtOnce, takes: 40 * time.Millisecond, now: map[string]int{}, late: map[string]int{}}
		if h.name == "strict" {
			h.load.atOnce, h.load.takes = 1, time.Millisecond
		}
	}
	database := pgtest.Server(t)
	for i := range agents {
		name := fmt.Sprintf("pod-%d", i)
		m := &mix{rig: member(t, name, database, f.hooks[0].server.URL), rng: f.rng, enabled: map[string]bool{}, hooks: f.hooks, shared: &fleetMember{name: name, log: f.log.path}}
		m.scribe = newScribe(t, m.rig.log)
		for _, h := range f.hooks {
			m.enabled[h.name] = true
		}
		m.write()
		f.agents = append(f.agents, m)
	}
	for i, s := range f.scribes() {
		s.first, s.step, s.every, s.most = i, agents+1, 60*time.Millisecond, 3000
	}
	return f
}

func (f *fleetMix) scribes() []*scribe {
	all := []*scribe{f.log}
	for _, m := range f.agents {
		all = append(all, m.scribe)
	}
	return all
}

func (f *fleetMix) hook(name string) *mixHook {
	return f.hooks[slices.IndexFunc(f.hooks, func(h *mixHook) bool { return h.name == name })]
}

// owner is who serves a webhook, as another agent says.
func (f *fleetMix) owner(name string) (m *mix) {
	f.t.Helper()
	f.agents[0].until("somebody to serve "+name, time.Minute, func() bool {
		agent := f.agents[0].status(f.hook(name)).State.Agent
		i := slices.IndexFunc(f.agents, func(m *mix) bool { return m.shared.name == agent })
		if i >= 0 {
			m = f.agents[i]
		}
		return i >= 0
	})
	return m
}

// fail stops whoever serves "limited" beyond its lease, and kills whoever serves "strict"; the others take over.
func (f *fleetMix) fail() {
	f.t.Helper()
	stopped, killed := f.owner("limited"), f.owner("strict")
	marks := map[*mixHook]int{}
	for _, h := range f.hooks {
		h.load.do(func() { marks[h] = len(h.load.by) })
	}
	away := []string{stopped.shared.name}
	stop := stopped.cmd.Process
	_ = stop.Signal(syscall.SIGSTOP)
	if killed != stopped {
		killed.kill(syscall.SIGKILL)
		away = append(away, killed.shared.name)
	}
	begun := time.Now()
	for name, n := range map[string]int{"limited": 2 * fleetRate, "strict": 3} {
		h := f.hook(name)
		stopped.until(name+" to be served by another", time.Minute, func() bool { return h.load.others(marks[h], away...) >= n })
	}
	f.t.Logf("others than %v have served for a while after %s", away, time.Since(begun).Round(10*time.Millisecond))
	for _, h := range f.hooks {
		h.load.do(func() { h.load.late[stopped.shared.name] = h.load.atOnce })
	}
	_ = stop.Signal(syscall.SIGCONT)
	if killed != stopped {
		killed.start()
	}
}

func (f *fleetMix) some() *mix { return f.agents[f.rng.IntN(len(f.agents))] }

// restart ends an agent in order, or kills it, and starts it again at once.
func (f *fleetMix) restart(sig syscall.Signal) {
	m := f.some()
	m.status(f.hooks[0]) // it has begun
	m.kill(sig)
	for _, h := range f.hooks {
		m.until("its requests to end", time.Minute, func() (ended bool) {
			h.load.do(func() { ended = h.load.now[m.shared.name] == 0 })
			return ended
		})
	}
	m.start()
}

// reload changes the configuration of one agent after the other.
func (f *fleetMix) reload() {
	for _, m := range f.agents {
		m.write()
		m.hangup()
	}
}

func (f *fleetMix) pause() {
	h := f.hooks[f.rng.IntN(len(f.hooks))]
	f.some().must("pause", h.name)
	f.some().must("resume", h.name)
}

// calm lifts the limits, so that what is left goes out.
func (f *fleetMix) calm() {
	for _, h := range f.hooks {
		h.load.do(func() { h.load.calm = true })
	}
	for _, m := range f.agents {
		m.shared.free = true
	}
	f.reload()
}

// finish has everything delivered and goes through the books.
func (f *fleetMix) finish(events int) {
	f.calm()
	begun, m := time.Now(), f.agents[0]
	m.untilQueued(f.hooks[0], events, 2*time.Minute)
	for _, h := range f.hooks {
		h.check(m, events, begun)
		if h.name != "shaky" && h.load.mostOnce > h.load.atOnce {
			f.t.Errorf("%s was sent %d requests at once, of %d", h.name, h.load.mostOnce, h.load.atOnce)
		}
	}
	l := f.hook("limited").load
	if over := l.overRate(fleetRate); over > 0 {
		f.t.Errorf("limited was sent %d requests more than its rate allows", over)
	}
	f.t.Logf("at once: steady %d, strict %d; limited: %d requests in %s", f.hook("steady").load.mostOnce, f.hook("strict").load.mostOnce,
		len(l.times), l.times[len(l.times)-1].Sub(l.times[0]).Round(time.Millisecond))
	for _, m := range f.agents {
		if s := m.rig.status(func(admin.Status) bool { return true }).Sources; len(s) != 2 || s[0].Gaps+s[1].Gaps != 0 || s[0].Rejected+s[1].Rejected != 0 {
			f.t.Errorf("%+v", s)
		}
	}
}

func TestFleetMix_WhateverHappensEveryEventArrivesEverywhereUnderOneID(t *testing.T) {
	t.Parallel()
	f := newFleetMix(t)
	var stops []func() int
	for _, m := range f.agents {
		m.start()
	}
	for _, s := range f.scribes() {
		stops = append(stops, s.produce())
	}
	for _, h := range f.hooks {
		f.agents[0].until(h.name+" to be served", time.Minute, func() bool { return h.load.others(0) > 3 })
	}
	limit := time.Second
	switch {
	case inFull():
		limit = 3 * time.Minute
	case soak():
		limit = 35 * time.Second
	}
	for begun, round := time.Now(), 0; round == 0 || time.Since(begun) < limit; round++ {
		f.fail()
		for range 2 {
			[]func(){
				func() { f.restart(syscall.SIGKILL) }, func() { f.restart(syscall.SIGTERM) }, f.reload, f.pause,
				func() { f.some().replay(f.hooks[f.rng.IntN(len(f.hooks))]) },
			}[f.rng.IntN(5)]()
		}
	}
	events := 0
	for _, stop := range stops {
		events += stop()
	}
	f.finish(events)
}
