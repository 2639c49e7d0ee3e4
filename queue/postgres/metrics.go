package postgres

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

const namespace = "intellidocs_agent"

// metrics are this agent's; what is of the whole queue is told by the agent that does the upkeep alone,
// so that it is not added up.
type metrics struct {
	q                                 *Queue
	up, agents                        prometheus.Gauge
	commits                           prometheus.Histogram
	lost, late, unreplicated, dropped prometheus.Counter
	all                               []prometheus.Collector
}

var (
	descBytes      = prometheus.NewDesc(namespace+"_queue_bytes", "What is kept takes in the database.", nil, nil)
	descMax        = prometheus.NewDesc(namespace+"_queue_max_bytes", "What the queue may take, [state] max_size; 0 for no bound.", nil, nil)
	descFull       = prometheus.NewDesc(namespace+"_queue_full", "1 while reading stands because the queue or the disk is full.", nil, nil)
	descDeliveries = prometheus.NewDesc(namespace+"_queue_deliveries", "Deliveries kept, by status.", []string{"webhook", "status"}, nil)
	descOldest     = prometheus.NewDesc(namespace+"_queue_oldest_due_seconds", "For how long the oldest delivery has been due.", []string{"webhook"}, nil)
	descRejected   = prometheus.NewDesc(namespace+"_queue_rejected_records", "Rejected records kept.", nil, nil)
)

func newMetrics(q *Queue) *metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help})
	}
	m := &metrics{
		q:      q,
		up:     gauge("engine_up", "1 while the queue's database answers."),
		agents: gauge("fleet_agents", "Agents that share the queue and are alive."),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "engine_commit_seconds", Help: "How long commits of what was read took.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60},
		}),
		lost:         counter("leases_lost_total", "Webhooks that another agent took from this one."),
		late:         counter("outcomes_late_total", "Outcomes recorded after another agent had taken the webhook."),
		unreplicated: counter("commits_unreplicated_total", "Commits of which the database did not say that they are replicated; they are repeated."),
		dropped:      counter("queue_rejected_dropped_total", "Rejected records that were dropped because they took more than their share of max_size."),
	}
	m.up.Set(1)
	m.all = []prometheus.Collector{m, m.up, m.agents, m.commits, m.lost, m.late, m.unreplicated, m.dropped}
	if q.opts.Registerer != nil {
		q.opts.Registerer.MustRegister(m.all...)
	}
	return m
}

func (m *metrics) unregister() {
	if m.q.opts.Registerer != nil {
		for _, c := range m.all {
			m.q.opts.Registerer.Unregister(c)
		}
	}
}

func (*metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBytes, descMax, descFull, descDeliveries, descOldest, descRejected} {
		ch <- d
	}
}

func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	q := m.q
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	full := 0.0
	s := q.Stats()
	if s.Full {
		full = 1
	}
	gauge(descFull, full)
	if !q.keeps() {
		return
	}
	limit, _, _ := q.limits.Get()
	gauge(descBytes, float64(s.Bytes))
	gauge(descMax, float64(limit))
	gauge(descRejected, float64(s.Rejected))
	all := q.Counts()
	for _, webhook := range q.opts.Webhooks() {
		if _, ok := all[webhook]; !ok {
			all[webhook] = nil
		}
	}
	for webhook, counts := range all {
		for _, status := range []queue.Status{queue.Pending, queue.Retrying, queue.Success, queue.Failed} {
			gauge(descDeliveries, float64(counts[status]), webhook, string(status))
		}
		age := time.Duration(0)
		if due := q.OldestDue(webhook); !due.IsZero() {
			age = max(0, q.here().Sub(due))
		}
		gauge(descOldest, age.Seconds(), webhook)
	}
}
