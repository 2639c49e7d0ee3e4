package postgres

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// holdings are the webhooks that this agent serves. The zero value is ready.
type holdings struct {
	mu sync.Mutex
	of map[string]holding
}

type holding struct {
	service
	until        time.Time     // no request begins after it; of the monotonic clock
	timeout      time.Duration // of its requests: in the database its lease ends by so much later
	state, pause []byte
}

// over reports whether no request may begin any more, by the monotonic clock or, after the machine
// slept, by the wall's.
func (h holding) over(now time.Time) bool {
	return !now.Before(h.until) || !now.Round(0).Before(h.until.Round(0))
}

// current returns those that are not over.
func (h *holdings) current() map[string]holding {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]holding, len(h.of))
	for name, held := range h.of {
		if !held.over(now) {
			out[name] = held
		}
	}
	return out
}

func (h *holdings) set(of map[string]holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of = of
}

// expire forgets those that are over.
func (h *holdings) expire() { h.set(h.current()) }

// ends is when the first of them is over, zero where there is none.
func (h *holdings) ends() (soonest time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.of {
		if soonest.IsZero() || held.until.Before(soonest) {
			soonest = held.until
		}
	}
	return soonest
}

// services returns who serves what, as far as this agent knows.
func (h *holdings) services() map[string]service {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make(map[string]service, len(h.of))
	for name, held := range h.of {
		out[name] = held.service
	}
	return out
}

func (h *holdings) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Sorted(maps.Keys(h.of))
}

func (h *holdings) has(webhook string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.of[text(webhook)]
	return ok
}

// generations are those of the sources' cursors that this agent knows. The zero value is ready.
type generations struct {
	mu sync.Mutex
	of map[string]int64
}

// set takes in a source's generation, 0 where the database has none.
func (g *generations) set(source string, gen int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gen == 0 {
		delete(g.of, source)
		return
	}
	if g.of == nil {
		g.of = map[string]int64{}
	}
	g.of[source] = gen
}

// all returns the sources' names as the database has them, and beside them the generations.
func (g *generations) all() (sources []string, gens []int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for source, gen := range g.of {
		sources, gens = append(sources, source), append(gens, gen)
	}
	return sources, gens
}
