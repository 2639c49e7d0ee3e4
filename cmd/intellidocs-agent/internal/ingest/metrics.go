package ingest

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dawnsystem/intellidocs-agent/examples/events"
	"github.com/dawnsystem/intellidocs-agent/parser"
)

// maxTypes bounds the event_type label: a custom type is whatever somebody wrote
// into a log. What comes after that many is counted as "other".
const maxTypes = 50

type metrics struct {
	ingested     *prometheus.CounterVec
	skipped      *prometheus.CounterVec
	rejected     *prometheus.CounterVec
	deduplicated prometheus.Counter
	incomplete   *prometheus.CounterVec
	gaps         *prometheus.CounterVec
	conflicts    *prometheus.CounterVec

	mu    sync.Mutex
	types map[string]bool
}

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "intellidocs_agent", Name: name, Help: help}, labels)
	}
	m := &metrics{
		ingested:   counter("events_ingested_total", "Events read from a source, repeats included.", "source", "event_type"),
		skipped:    counter("records_skipped_total", "Records that are not meant as an event.", "source", "reason"),
		rejected:   counter("records_rejected_total", "Records meant as an event that cannot be read as one.", "source"),
		incomplete: counter("events_incomplete_total", "Events of a known type without its main object; they are delivered.", "source"),
		conflicts:  counter("event_id_conflicts_total", "Events whose event_id was another's; they are queued under an id of their payload.", "source"),
		gaps:       counter("source_gaps_total", "Times that unread content of a source was found to be gone.", "source"),
		deduplicated: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "intellidocs_agent", Name: "events_deduplicated_total", Help: "Events that were queued already within dedup_window.",
		}),
		types: map[string]bool{},
	}
	if reg != nil {
		reg.MustRegister(m.ingested, m.skipped, m.rejected, m.incomplete, m.gaps, m.conflicts, m.deduplicated)
	}
	return m
}

// begin makes a source's series, at zero: only from there is the first rejected record an
// increase.
func (m *metrics) begin(source string) {
	for _, typ := range events.Types() {
		m.ingested.WithLabelValues(source, m.label(typ))
	}
	for _, reason := range parser.SkipReasons {
		m.skipped.WithLabelValues(source, reason)
	}
	for _, vec := range []*prometheus.CounterVec{m.rejected, m.incomplete, m.gaps, m.conflicts} {
		vec.WithLabelValues(source)
	}
}

func (m *metrics) count(source string, b batch) {
	for typ, n := range b.events {
		m.ingested.WithLabelValues(source, m.label(typ)).Add(float64(n))
	}
	for reason, n := range b.skipped {
		m.skipped.WithLabelValues(source, reason).Add(float64(n))
	}
	m.rejected.WithLabelValues(source).Add(float64(b.rejected))
	m.incomplete.WithLabelValues(source).Add(float64(b.incomplete))
	m.conflicts.WithLabelValues(source).Add(float64(b.conflicts))
	m.deduplicated.Add(float64(b.duplicates))
}

func (m *metrics) label(eventType string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.types[eventType] {
		return eventType
	}
	if len(m.types) >= maxTypes || len(eventType) > 100 {
		return "other"
	}
	m.types[eventType] = true
	return eventType
}
