package dispatch

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// metrics are the dispatcher's. Their label values are bounded by the configuration.
type metrics struct {
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
	labels := prometheus.Labels{"webhook": webhook}
	for _, vec := range []interface {
		DeletePartialMatch(prometheus.Labels) int
	}{m.attempts, m.finished, m.duration, m.endToEnd, m.filterErrors} {
		vec.DeletePartialMatch(labels)
	}
}

// observe counts a recorded attempt.
func (w *worker) observe(readAt time.Time, v outcome) {
	now := time.Now()
	w.mu.Lock() // against remove, which must not be undone by a late attempt
	defer w.mu.Unlock()
	if w.removed {
		return
	}
	m := w.d.metrics
	m.attempts.WithLabelValues(w.name, v.Attempt.Outcome).Inc()
	m.duration.WithLabelValues(w.name).Observe(v.Attempt.Took.Seconds())
	if v.Status == queue.Success || v.Status == queue.Failed {
		m.finished.WithLabelValues(w.name, string(v.Status)).Inc()
	}
	if v.Status == queue.Success {
		m.endToEnd.WithLabelValues(w.name).Observe(max(0, now.Sub(readAt).Seconds()))
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
