package dispatch

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// metrics are the dispatcher's. Their label values are bounded by the configuration: a
// webhook has series from begin to forget, and an attempt that ends later brings none back.
type metrics struct {
	mu       sync.Mutex
	webhooks map[string]bool // those that have series

	attempts     *prometheus.CounterVec
	finished     *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	endToEnd     *prometheus.HistogramVec
	filterErrors *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, states func() []State) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "intellidocs_agent", Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "intellidocs_agent", Name: name, Help: help, Buckets: buckets,
		}, []string{"webhook"})
	}
	m := &metrics{
		webhooks: map[string]bool{},
		attempts: counter("delivery_attempts_total", "Attempts made, by what came of them.", "webhook", "outcome"),
		finished: counter("deliveries_finished_total", "Deliveries that succeeded or were given up.", "webhook", "status"),
		duration: histogram("delivery_duration_seconds", "Duration of an attempt.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}),
		endToEnd: histogram("event_to_delivery_seconds", "From an event being read to its delivery.",
			[]float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400}),
		filterErrors: counter("filter_errors_total", "Events that a filter had no answer for; they are delivered.", "webhook"),
	}
	if reg != nil {
		reg.MustRegister(m.attempts, m.finished, m.duration, m.endToEnd, m.filterErrors, conditionCollector(states))
	}
	return m
}

// begin makes a webhook's series, at zero: only from there is the first failure an increase.
func (m *metrics) begin(webhook string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.webhooks[webhook] = true
	for _, outcome := range outcomes {
		m.attempts.WithLabelValues(webhook, outcome)
	}
	for _, status := range []queue.Status{queue.Success, queue.Failed} {
		m.finished.WithLabelValues(webhook, string(status))
	}
	m.duration.WithLabelValues(webhook)
	m.endToEnd.WithLabelValues(webhook)
}

// forget deletes the series of a webhook that is no longer configured.
func (m *metrics) forget(webhook string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.webhooks, webhook)
	labels := prometheus.Labels{"webhook": webhook}
	for _, vec := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.attempts, m.finished, m.duration, m.endToEnd, m.filterErrors} {
		vec.DeletePartialMatch(labels)
	}
}

// observe counts a recorded attempt of a webhook for an event that was read at a moment.
func (m *metrics) observe(webhook string, readAt time.Time, v outcome) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.webhooks[webhook] {
		return
	}
	m.attempts.WithLabelValues(webhook, v.Attempt.Outcome).Inc()
	m.duration.WithLabelValues(webhook).Observe(v.Attempt.Took.Seconds())
	if v.Status == queue.Success || v.Status == queue.Failed {
		m.finished.WithLabelValues(webhook, string(v.Status)).Inc()
	}
	if v.Status == queue.Success {
		m.endToEnd.WithLabelValues(webhook).Observe(max(0, now.Sub(readAt).Seconds()))
	}
}

var webhookState = prometheus.NewDesc("intellidocs_agent_webhook_state",
	"1 for the state that the webhook is in, 0 for the others.", []string{"webhook", "state"}, nil)

// conditionCollector tells the webhooks' conditions as they are when asked.
type conditionCollector func() []State

func (c conditionCollector) Describe(ch chan<- *prometheus.Desc) { ch <- webhookState }

func (c conditionCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c() {
		for _, condition := range conditions {
			value := 0.0
			if s.State == condition {
				value = 1
			}
			ch <- prometheus.MustNewConstMetric(webhookState, prometheus.GaugeValue, value, s.Webhook, string(condition))
		}
	}
}
