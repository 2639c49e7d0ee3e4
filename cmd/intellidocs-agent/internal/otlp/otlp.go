// Package otlp exports traces and metrics to an OpenTelemetry collector by OTLP over HTTP, as
// the variables that OpenTelemetry specifies (OTEL_EXPORTER_OTLP_ENDPOINT …) ask for.
//
// The agent makes its spans of facts that are durable already, with IDs that follow from the
// event's and the delivery's. That needs the official messages, and nothing of an SDK, which
// would make the program a sixth larger. What a collector does not take in time is dropped
// and counted: nothing here delays a delivery, or keeps memory without bound.
package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	collectormetrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	// maxSpans is how many wait to be exported. A span takes two kilobytes at most.
	maxSpans = 2048
	// maxBatch is how many go into one request, and batchDelay how long the first waits for others.
	maxBatch   = 512
	batchDelay = 5 * time.Second
	// patience is how long one batch is tried before it is dropped.
	patience = time.Minute
	// complainEvery is how often it is logged that nothing can be exported.
	complainEvery = 10 * time.Minute
)

// Options are what an Exporter works with.
type Options struct {
	Settings Settings
	Version  string
	Gatherer prometheus.Gatherer // what /metrics shows
	Register prometheus.Registerer
	Logger   *slog.Logger
}

// Exporter exports spans and metrics. A nil Exporter takes everything and exports nothing.
type Exporter struct {
	Options
	traces   *client // nil: not exported
	metrics  *client
	resource *resource.Resource
	scope    *common.InstrumentationScope
	began    time.Time

	spans    chan *trace.Span
	exported *prometheus.CounterVec
	stop     context.CancelFunc // ends the retries, for the last flush
	running  sync.WaitGroup
	ending   chan struct{}
}

// New makes an Exporter, nil where the environment asks for none.
func New(o Options) (*Exporter, error) {
	if !o.Settings.Active() {
		return nil, nil
	}
	e := &Exporter{
		Options: o, began: time.Now(), ending: make(chan struct{}), spans: make(chan *trace.Span, maxSpans),
		scope: &common.InstrumentationScope{Name: "github.com/dawnsystem/intellidocs-agent", Version: o.Version},
		exported: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "intellidocs_agent", Name: "otlp_spans_total", Help: "Spans for the OpenTelemetry collector, by what became of them.",
		}, []string{"result"}),
	}
	o.Register.MustRegister(e.exported)
	for _, result := range []string{"exported", "dropped"} {
		e.exported.WithLabelValues(result)
	}
	e.resource = &resource.Resource{Attributes: o.Settings.resource(o.Version)}
	var err error
	if e.traces, err = newClient(o.Settings.Traces); err != nil {
		return nil, err
	}
	e.metrics, err = newClient(o.Settings.Metrics)
	return e, err
}

// Start exports until Stop.
func (e *Exporter) Start() {
	if e == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.Logger.Info("exporting to OpenTelemetry", "traces", e.traces.shown(), "metrics", e.metrics.shown())
	if e.traces != nil {
		e.running.Go(func() { e.exportSpans(ctx) })
	}
	if e.metrics != nil {
		e.running.Go(func() { e.exportMetrics(ctx) })
	}
}

// Stop exports what is left, for as long as ctx allows.
func (e *Exporter) Stop(ctx context.Context) {
	if e == nil || e.stop == nil {
		return
	}
	defer context.AfterFunc(ctx, e.stop)()
	close(e.ending)
	e.running.Wait()
	e.stop()
}

// add takes a span, or drops it where a collector is too slow or down.
func (e *Exporter) add(s *trace.Span) {
	select {
	case e.spans <- s:
	default:
		e.exported.WithLabelValues("dropped").Inc()
	}
}

func (e *Exporter) exportSpans(ctx context.Context) {
	complaint := complaint{log: e.Logger, signal: "traces"}
	for ended := false; !ended; {
		var batch []*trace.Span
		batch, ended = e.batch()
		if ended { // what else is there
			for len(e.spans) > 0 {
				batch = append(batch, <-e.spans)
			}
		}
		for len(batch) > 0 {
			part := batch[:min(len(batch), maxBatch)]
			batch = batch[len(part):]
			rejected, err := e.traces.deliver(ctx, e.ending, &collectortrace.ExportTraceServiceRequest{ResourceSpans: []*trace.ResourceSpans{{
				Resource: e.resource, ScopeSpans: []*trace.ScopeSpans{{Scope: e.scope, Spans: part}},
			}}}, new(collectortrace.ExportTraceServiceResponse))
			if err != nil {
				rejected = int64(len(part))
			}
			rejected = min(max(rejected, 0), int64(len(part)))
			e.exported.WithLabelValues("dropped").Add(float64(rejected))
			e.exported.WithLabelValues("exported").Add(float64(int64(len(part)) - rejected))
			complaint.about(err, rejected)
		}
	}
}

// batch waits for spans, and for more once there is one. It reports whether the end has come.
func (e *Exporter) batch() (batch []*trace.Span, ended bool) {
	var late <-chan time.Time
	for len(batch) < maxBatch {
		select {
		case s := <-e.spans:
			if batch = append(batch, s); late == nil {
				late = time.After(e.Settings.Delay)
			}
		case <-late:
			return batch, false
		case <-e.ending:
			return batch, true
		}
	}
	return batch, false
}

func (e *Exporter) exportMetrics(ctx context.Context) {
	complaint := complaint{log: e.Logger, signal: "metrics"}
	tick := time.NewTicker(e.Settings.Interval)
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-e.ending:
			ended = true
		}
		families, err := e.Gatherer.Gather()
		if len(families) == 0 {
			complaint.about(err, 0)
			continue
		}
		// They are totals: what is lost of them is in the next ones.
		rejected, err := e.metrics.once(ctx, &collectormetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metrics.ResourceMetrics{{
			Resource: e.resource, ScopeMetrics: []*metrics.ScopeMetrics{{Scope: e.scope, Metrics: convert(families, e.began, time.Now())}},
		}}}, new(collectormetrics.ExportMetricsServiceResponse))
		complaint.about(err, rejected)
	}
}

// complaint says once in a while that a collector takes nothing, and that it does again.
type complaint struct {
	log    *slog.Logger
	signal string
	said   time.Time
}

func (c *complaint) about(err error, rejected int64) {
	if err == nil && rejected > 0 {
		err = fmt.Errorf("the collector took the request and refused %d of what was in it", rejected)
	}
	switch {
	case err == nil && !c.said.IsZero():
		c.log.Info("exporting to OpenTelemetry again", "signal", c.signal)
		c.said = time.Time{}
	case err != nil && time.Since(c.said) > complainEvery:
		c.log.Warn("cannot export to OpenTelemetry; deliveries are not affected", "signal", c.signal, "error", err)
		c.said = time.Now()
	}
}

// encode is a request's body.
func encode(m proto.Message, zip bool) ([]byte, error) {
	body, err := proto.Marshal(m)
	if err != nil || !zip {
		return body, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // into memory
	err = w.Close()
	return b.Bytes(), err
}
