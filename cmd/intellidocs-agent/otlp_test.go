package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.37.0"
	collectormetrics "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
)

// collector takes OTLP over HTTP, by the official messages.
type collector struct {
	url string

	mu       sync.Mutex
	spans    []*trace.Span
	metrics  map[string]*metrics.Metric
	resource map[string]string
	headers  []http.Header
	wrong    []string
}

func newCollector(t *testing.T) *collector {
	c := &collector{metrics: map[string]*metrics.Metric{}, resource: map[string]string{}}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	c.url = srv.URL
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	var traces collectortrace.ExportTraceServiceRequest
	var measured collectormetrics.ExportMetricsServiceRequest
	var answer proto.Message = &collectortrace.ExportTraceServiceResponse{}
	switch {
	case err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf":
		err = fmt.Errorf("%s %s: %v", r.Method, r.Header, err)
	case r.URL.Path == "/v1/traces":
		err = proto.Unmarshal(body, &traces)
	case r.URL.Path == "/v1/metrics":
		err, answer = proto.Unmarshal(body, &measured), &collectormetrics.ExportMetricsServiceResponse{}
	default:
		err = fmt.Errorf("path %s", r.URL.Path)
	}
	if err != nil {
		c.wrong = append(c.wrong, err.Error())
	}
	for _, of := range traces.ResourceSpans {
		c.resource = attributesOf(of.Resource.Attributes)
		for _, scope := range of.ScopeSpans {
			c.spans = append(c.spans, scope.Spans...)
		}
	}
	for _, of := range measured.ResourceMetrics {
		for _, scope := range of.ScopeMetrics {
			for _, m := range scope.Metrics {
				c.metrics[m.Name] = m
			}
		}
	}
	text, _ := proto.Marshal(answer)
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(text)
}

func attributesOf(list []*common.KeyValue) map[string]string {
	out := map[string]string{}
	for _, kv := range list {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			out[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			out[kv.Key] = fmt.Sprint(v.IntValue)
		}
	}
	return out
}

// startWith starts the agent with more in its environment.
func (r *rig) startWith(environment ...string) {
	r.t.Helper()
	for _, v := range environment {
		name, value, _ := strings.Cut(v, "=")
		r.t.(*testing.T).Setenv(name, value)
	}
	r.start()
}

func TestOpenTelemetry_EachEventIsATraceWithTheSpansThatReceiversAreTold(t *testing.T) {
	failing, url := newRecorder(t, receiver.Options{Fail: 1})
	c := newCollector(t)
	r := newRig(t, fmt.Sprintf("[[webhook]]\nname = \"second\"\nurl = %q\nsecret = %q\nheaders = { Authorization = \"Bearer hook-secret\" }\n",
		strings.Replace(url, "http://", "http://user:pass-secret@", 1)+"/hook?token=query-secret", testSecret))
	r.startWith("OTEL_EXPORTER_OTLP_ENDPOINT="+c.url, "OTEL_EXPORTER_OTLP_HEADERS=api-key=header%2Csecret", "OTEL_SERVICE_NAME=docs",
		"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=home", "OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_METRIC_EXPORT_INTERVAL=200")
	r.append(eventLine(1), eventLine(1), eventLine(2))
	r.until("every delivery", time.Minute, func() bool { return len(r.rows("--status", "success")) == 4 })
	r.kill(syscall.SIGTERM) // which exports what is left
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.wrong) > 0 {
		t.Fatal(c.wrong)
	}
	spans := map[string]*trace.Span{}
	kinds := map[string]int{}
	for _, s := range c.spans {
		id := hex.EncodeToString(s.SpanId)
		if spans[id] != nil {
			t.Errorf("two spans %s", id)
		}
		spans[id] = s
		kinds[s.Kind.String()]++
		a := attributesOf(s.Attributes)
		switch s.Kind {
		case trace.Span_SPAN_KIND_CONSUMER:
			if s.Name != "read "+r.log || len(s.ParentSpanId) != 0 || a[string(semconv.MessagingOperationTypeKey)] != "receive" ||
				a[string(semconv.MessagingDestinationNameKey)] != r.log || a[string(semconv.MessagingMessageIDKey)] != "evt_"+hex.EncodeToString(s.TraceId) {
				t.Errorf("read: %v", s)
			}
		case trace.Span_SPAN_KIND_PRODUCER:
			if s.Name != "enqueue deliveries" || a[string(semconv.MessagingOperationTypeKey)] != "send" || a["intellidocs.deliveries"] != "2" {
				t.Errorf("enqueue: %v", s)
			}
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano || s.StartTimeUnixNano == 0 {
			t.Errorf("times of %v", s)
		}
	}
	if kinds["SPAN_KIND_CONSUMER"] != 2 || kinds["SPAN_KIND_PRODUCER"] != 2 || kinds["SPAN_KIND_CLIENT"] != 5 {
		t.Errorf("spans: %v", kinds)
	}
	for id, s := range spans {
		if parent := spans[hex.EncodeToString(s.ParentSpanId)]; s.Kind != trace.Span_SPAN_KIND_CONSUMER && (parent == nil || string(parent.TraceId) != string(s.TraceId)) {
			t.Errorf("span %s has no parent in its trace: %v", id, s)
		}
	}
	failures := 0
	for _, recorder := range []*recorder{failing, r.recv} {
		recorder.mu.Lock()
		for _, got := range recorder.requests {
			part := strings.Split(got.Header.Get("traceparent"), "-")
			s := spans[part[2]]
			if s == nil || hex.EncodeToString(s.TraceId) != part[1] || s.Name != "POST" {
				t.Errorf("the receiver was told %v, and there is %v", part, s)
				continue
			}
			a := attributesOf(s.Attributes)
			attempt := got.Header.Get("X-IntelliDocs-Attempt")
			resent := map[string]string{"1": "", "2": "1"}[attempt]
			if a[string(semconv.HTTPRequestMethodKey)] != "POST" || a[string(semconv.HTTPResponseStatusCodeKey)] != fmt.Sprint(got.Answer) ||
				a[string(semconv.HTTPRequestResendCountKey)] != resent || a[string(semconv.ServerAddressKey)] != "127.0.0.1" || a[string(semconv.ServerPortKey)] == "" ||
				a[string(semconv.NetworkPeerAddressKey)] != "127.0.0.1" || a["intellidocs.delivery.id"] != got.Header.Get("X-IntelliDocs-Delivery") {
				t.Errorf("attempt %s: %v", attempt, a)
			}
			bad := got.Answer/100 != 2
			if (s.Status.GetCode() == trace.Status_STATUS_CODE_ERROR) != bad || bad && a[string(semconv.ErrorTypeKey)] != "500" {
				t.Errorf("answer %d: %v", got.Answer, s)
			}
			if bad {
				failures++
			}
		}
		recorder.mu.Unlock()
	}
	if failures != 1 {
		t.Errorf("%d spans of failures", failures)
	}
	if c.resource["service.name"] != "docs" || c.resource["deployment.environment.name"] != "home" || c.resource["service.version"] == "" {
		t.Errorf("resource: %v", c.resource)
	}
	for _, h := range c.headers {
		if h.Get("Api-Key") != "header,secret" {
			t.Errorf("headers: %v", h)
		}
	}
	said, err := os.ReadFile(r.out.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{"pass-secret", "hook-secret", "query-secret", "header,secret", "header%2Csecret", testSecret} {
		if strings.Contains(fmt.Sprint(c.spans, c.metrics, c.resource)+string(said), leak) {
			t.Errorf("%s leaks", leak)
		}
	}
	sum := c.metrics["intellidocs_agent_delivery_attempts_total"].GetSum()
	total := 0.0
	for _, p := range sum.GetDataPoints() {
		total += p.GetAsDouble()
	}
	if !sum.GetIsMonotonic() || total != 5 {
		t.Errorf("attempts by the metrics: %v", sum)
	}
	duration := c.metrics["intellidocs_agent_delivery_duration_seconds"]
	for _, p := range duration.GetHistogram().GetDataPoints() {
		n := uint64(0)
		for _, b := range p.BucketCounts {
			n += b
		}
		if n != p.Count || n == 0 || len(p.BucketCounts) != len(p.ExplicitBounds)+1 || duration.Unit != "s" {
			t.Errorf("histogram: %v", p)
		}
	}
}

func TestOpenTelemetry_ACollectorThatHangsOrIsDownDelaysNothingAndIsCounted(t *testing.T) {
	hanging := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-hanging:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(hanging) })
	r := newRig(t, "")
	addr := r.listening()
	r.startWith("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT="+srv.URL, "OTEL_EXPORTER_OTLP_TIMEOUT=600000", "OTEL_BSP_SCHEDULE_DELAY=1")
	const events = 1100 // three spans each: more than wait
	var lines []string
	for n := range events {
		lines = append(lines, eventLine(n))
	}
	r.append(lines...)
	r.until("every event", 2*time.Minute, func() bool { return r.recv.distinct() == events })
	r.until("dropped spans to be counted", time.Minute, func() bool {
		resp, err := http.Get("http://" + addr + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return strings.Contains(string(text), `otlp_spans_total{result="exported"} 0`) && strings.Contains(string(text), "intellidocs_agent_otlp_spans_total{result=\"dropped\"} ") &&
			!strings.Contains(string(text), "intellidocs_agent_otlp_spans_total{result=\"dropped\"} 0\n")
	})
	r.kill(syscall.SIGTERM)
	said, err := os.ReadFile(r.out.Name())
	if err != nil || !strings.Contains(string(said), "stopping") {
		t.Errorf("the agent did not stop by itself:\n%s", said)
	}
}

func TestOpenTelemetry_WhatCannotBeExportedIsSaidByCheckAndStopsNothing(t *testing.T) {
	r := newRig(t, "")
	for _, c := range []struct{ env, want string }{
		{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", `environment: OTEL_EXPORTER_OTLP_PROTOCOL: the agent speaks http/protobuf only, not "grpc"`},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json", `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: the agent speaks`},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317", `OTEL_EXPORTER_OTLP_ENDPOINT: it must be a URL`},
		{"OTEL_EXPORTER_OTLP_HEADERS=a-secret", `OTEL_EXPORTER_OTLP_HEADERS: one of them is no name=value`},
		{"OTEL_TRACES_EXPORTER=zipkin", `OTEL_TRACES_EXPORTER: the agent exports by otlp only`},
		{"OTEL_METRIC_EXPORT_INTERVAL=soon", `OTEL_METRIC_EXPORT_INTERVAL: it must be a number of milliseconds`},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE=/nonexistent.pem", "OTEL_EXPORTER_OTLP_CERTIFICATE: open /nonexistent.pem: no such file or directory, so nothing is exported"},
		{"OTEL_SDK_DISABLED=true", ""},
	} {
		t.Run(c.env, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
			name, value, _ := strings.Cut(c.env, "=")
			t.Setenv(name, value)
			out, err := r.run("check")
			if err != nil || !strings.Contains(out, c.want) || c.want == "" && strings.Contains(out, "OTEL") || strings.Contains(out, "a-secret") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
