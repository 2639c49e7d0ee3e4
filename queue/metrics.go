package queue

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collector reads the queue's state when it is asked for.
type collector struct {
	q        *Queue
	webhooks func() []string
}

var (
	descBytes      = prometheus.NewDesc("intellidocs_agent_queue_bytes", "What the queue takes on the disk.", nil, nil)
	descFree       = prometheus.NewDesc("intellidocs_agent_disk_free_bytes", "What is free on the state directory's disk.", nil, nil)
	descMax        = prometheus.NewDesc("intellidocs_agent_queue_max_bytes", "What the queue may take, [state] max_size; 0 for no bound.", nil, nil)
	descFull       = prometheus.NewDesc("intellidocs_agent_queue_full", "1 while reading stands because the queue or the disk is full.", nil, nil)
	descDeliveries = prometheus.NewDesc("intellidocs_agent_queue_deliveries", "Deliveries kept, by status.", []string{"webhook", "status"}, nil)
	descOldest     = prometheus.NewDesc("intellidocs_agent_queue_oldest_due_seconds", "For how long the oldest delivery has been due.", []string{"webhook"}, nil)
	descDropped    = prometheus.NewDesc("intellidocs_agent_queue_rejected_dropped_total", "Rejected records that were dropped because they took more than their share of max_size.", nil, nil)
	descRejected   = prometheus.NewDesc("intellidocs_agent_queue_rejected_records", "Rejected records kept.", nil, nil)
)

func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBytes, descFree, descMax, descFull, descDeliveries, descOldest, descRejected, descDropped} {
		ch <- d
	}
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := c.q.Stats()
	maxSize, _, _ := c.q.limits.Get()
	full := 0.0
	if s.Full {
		full = 1
	}
	gauge(descBytes, float64(s.Bytes))
	gauge(descFree, float64(s.DiskFree))
	gauge(descMax, float64(maxSize))
	gauge(descFull, full)
	gauge(descRejected, float64(s.Rejected))
	ch <- prometheus.MustNewConstMetric(descDropped, prometheus.CounterValue, float64(c.q.maintenance.rejectedDropped.Load()))
	all := c.q.Counts()
	for _, webhook := range c.webhooks() {
		if _, ok := all[webhook]; !ok {
			all[webhook] = nil
		}
	}
	for webhook, counts := range all {
		for _, status := range []Status{Pending, Retrying, Success, Failed} {
			gauge(descDeliveries, float64(counts[status]), webhook, string(status))
		}
		age := time.Duration(0)
		if due := c.q.OldestDue(webhook); !due.IsZero() {
			age = max(0, c.q.now().Sub(due))
		}
		gauge(descOldest, age.Seconds(), webhook)
	}
}
