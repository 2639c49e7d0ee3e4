package otlp

import (
	"math"
	"strings"
	"time"

	prom "github.com/prometheus/client_model/go"
	collectormetrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"
)

// convert makes OTLP's metrics of what /metrics shows, under the same names.
func convert(families []*prom.MetricFamily, began, now time.Time) []*metrics.Metric {
	out := make([]*metrics.Metric, 0, len(families))
	for _, f := range families {
		m := &metrics.Metric{Name: f.GetName(), Description: f.GetHelp(), Unit: unitOf(f.GetName())}
		switch f.GetType() {
		case prom.MetricType_COUNTER:
			m.Data = &metrics.Metric_Sum{Sum: &metrics.Sum{
				AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE, IsMonotonic: true,
				DataPoints: numbers(f, began, now, func(m *prom.Metric) float64 { return m.GetCounter().GetValue() }),
			}}
		case prom.MetricType_GAUGE:
			m.Data = &metrics.Metric_Gauge{Gauge: &metrics.Gauge{
				DataPoints: numbers(f, began, now, func(m *prom.Metric) float64 { return m.GetGauge().GetValue() }),
			}}
		case prom.MetricType_HISTOGRAM:
			m.Data = &metrics.Metric_Histogram{Histogram: &metrics.Histogram{
				AggregationTemporality: metrics.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE, DataPoints: histograms(f, began, now),
			}}
		case prom.MetricType_SUMMARY:
			m.Data = &metrics.Metric_Summary{Summary: &metrics.Summary{DataPoints: summaries(f, began, now)}}
		default:
			continue // there is no other kind among ours
		}
		out = append(out, m)
	}
	return out
}

// unitOf is what a name says by Prometheus' conventions, in UCUM.
func unitOf(name string) string {
	name = strings.TrimSuffix(name, "_total")
	switch {
	case strings.HasSuffix(name, "_seconds"):
		return "s"
	case strings.HasSuffix(name, "_bytes"):
		return "By"
	}
	return ""
}

func labels(m *prom.Metric) []*common.KeyValue {
	var a attributes
	for _, l := range m.GetLabel() {
		a.whole(l.GetName(), l.GetValue())
	}
	return a
}

func numbers(f *prom.MetricFamily, began, now time.Time, value func(*prom.Metric) float64) []*metrics.NumberDataPoint {
	points := make([]*metrics.NumberDataPoint, len(f.Metric))
	for i, m := range f.Metric {
		points[i] = &metrics.NumberDataPoint{
			Attributes: labels(m), StartTimeUnixNano: nanos(began), TimeUnixNano: nanos(now),
			Value: &metrics.NumberDataPoint_AsDouble{AsDouble: value(m)},
		}
	}
	return points
}

func histograms(f *prom.MetricFamily, began, now time.Time) []*metrics.HistogramDataPoint {
	points := make([]*metrics.HistogramDataPoint, len(f.Metric))
	for i, m := range f.Metric {
		h := m.GetHistogram()
		p := &metrics.HistogramDataPoint{
			Attributes: labels(m), StartTimeUnixNano: nanos(began), TimeUnixNano: nanos(now),
			Count: h.GetSampleCount(), Sum: proto.Float64(h.GetSampleSum()),
		}
		below := uint64(0) // Prometheus' buckets hold those before them too
		for _, b := range h.GetBucket() {
			if math.IsInf(b.GetUpperBound(), 1) {
				continue
			}
			p.ExplicitBounds = append(p.ExplicitBounds, b.GetUpperBound())
			p.BucketCounts = append(p.BucketCounts, b.GetCumulativeCount()-below)
			below = b.GetCumulativeCount()
		}
		p.BucketCounts = append(p.BucketCounts, h.GetSampleCount()-below)
		points[i] = p
	}
	return points
}

func summaries(f *prom.MetricFamily, began, now time.Time) []*metrics.SummaryDataPoint {
	points := make([]*metrics.SummaryDataPoint, len(f.Metric))
	for i, m := range f.Metric {
		s := m.GetSummary()
		p := &metrics.SummaryDataPoint{
			Attributes: labels(m), StartTimeUnixNano: nanos(began), TimeUnixNano: nanos(now), Count: s.GetSampleCount(), Sum: s.GetSampleSum(),
		}
		for _, q := range s.GetQuantile() {
			p.QuantileValues = append(p.QuantileValues, &metrics.SummaryDataPoint_ValueAtQuantile{Quantile: q.GetQuantile(), Value: q.GetValue()})
		}
		points[i] = p
	}
	return points
}

// refused is how much of a request a collector says that it did not take.
func refused(answer proto.Message) int64 {
	switch a := answer.(type) {
	case *collectortrace.ExportTraceServiceResponse:
		return a.GetPartialSuccess().GetRejectedSpans()
	case *collectormetrics.ExportMetricsServiceResponse:
		return a.GetPartialSuccess().GetRejectedDataPoints()
	}
	return 0
}
