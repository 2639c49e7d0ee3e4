package otlp

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	"golang.org/x/net/http/httpguts"

	"github.com/dawnsystem/intellidocs-agent/dispatch/secret"
	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
)

// Target is where one signal goes.
type Target struct {
	URL     string // "": nowhere
	Headers map[string]secret.Value[string]
	Timeout time.Duration
	Gzip    bool
	CAFile  string
}

// Shown is the URL without credentials or what looks like a secret.
func (t Target) Shown() string { return cmp.Or(send.RedactURL(t.URL), "not exported") }

// Settings are what the environment asks for.
type Settings struct {
	Traces, Metrics Target
	Interval        time.Duration // between two exports of the metrics
	Delay           time.Duration // how long a span waits for others
	attributes      map[string]string
}

// Active reports whether anything is exported.
func (s *Settings) Active() bool { return s.Traces.URL != "" || s.Metrics.URL != "" }

// Warning is what is wrong with a variable, which is then as if it were not set, or keeps its
// signal from being exported. Nothing of telemetry keeps the agent from delivering.
type Warning struct{ Variable, Text string }

// reader reads variables and gathers what is wrong with them.
type reader struct {
	env      func(string) (string, bool)
	warnings []Warning
}

// FromEnvironment reads the variables of OpenTelemetry's specification.
func FromEnvironment(env func(string) (string, bool)) (Settings, []Warning) {
	r := &reader{env: env}
	s := Settings{attributes: map[string]string{"service.name": "intellidocs-agent"}}
	if strings.EqualFold(r.get("OTEL_SDK_DISABLED"), "true") {
		return s, nil
	}
	s.Traces = r.target("TRACES", "v1/traces")
	s.Metrics = r.target("METRICS", "v1/metrics")
	if !s.Active() {
		return s, r.warnings
	}
	s.Interval = r.milliseconds("OTEL_METRIC_EXPORT_INTERVAL", time.Minute)
	s.Delay = r.milliseconds("OTEL_BSP_SCHEDULE_DELAY", batchDelay)
	for _, pair := range r.pairs("OTEL_RESOURCE_ATTRIBUTES") {
		s.attributes[pair[0]] = pair[1]
	}
	if name := r.get("OTEL_SERVICE_NAME"); name != "" {
		s.attributes["service.name"] = name
	}
	return s, r.warnings
}

func (r *reader) get(name string) string {
	v, _ := r.env(name)
	return strings.TrimSpace(v)
}

func (r *reader) warn(name, format string, args ...any) {
	w := Warning{name, fmt.Sprintf(format, args...)}
	if !slices.Contains(r.warnings, w) {
		r.warnings = append(r.warnings, w)
	}
}

// of returns a signal's own variable, or else the one of all signals, with its name.
func (r *reader) of(signal, key string) (name, value string) {
	name = "OTEL_EXPORTER_OTLP_" + signal + "_" + key
	if value = r.get(name); value == "" {
		name = "OTEL_EXPORTER_OTLP_" + key
		value = r.get(name)
	}
	return name, value
}

// target reads where a signal goes. What cannot be used exports nothing.
func (r *reader) target(signal, path string) Target {
	nowhere := Target{}
	name, endpoint := r.of(signal, "ENDPOINT")
	if endpoint == "" {
		return nowhere
	}
	switch exporter := r.get("OTEL_" + signal + "_EXPORTER"); exporter {
	case "", "otlp":
	case "none":
		return nowhere
	default:
		r.warn("OTEL_"+signal+"_EXPORTER", "the agent exports by otlp only, not by %q, so these are not exported; write otlp or none", exporter)
		return nowhere
	}
	if name, protocol := r.of(signal, "PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		r.warn(name, "the agent speaks http/protobuf only, not %q, so nothing is exported; set it to http/protobuf, and the endpoint to the collector's port for that, usually 4318", protocol)
		return nowhere
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		r.warn(name, "it must be a URL such as http://localhost:4318, so nothing is exported")
		return nowhere
	}
	if !strings.Contains(name, signal) {
		u = u.JoinPath(path)
	}
	t := Target{URL: u.String(), Headers: map[string]secret.Value[string]{}}
	name, _ = r.of(signal, "TIMEOUT")
	t.Timeout = r.milliseconds(name, 10*time.Second)
	name, compression := r.of(signal, "COMPRESSION")
	if t.Gzip = compression == "gzip"; !t.Gzip && compression != "" && compression != "none" {
		r.warn(name, "it is gzip or none; nothing is compressed")
	}
	name, t.CAFile = r.of(signal, "CERTIFICATE")
	if _, err := newClient(t); err != nil {
		r.warn(name, "%v, so nothing is exported", err)
		return nowhere
	}
	name, _ = r.of(signal, "HEADERS")
	for _, pair := range r.pairs(name) {
		if !httpguts.ValidHeaderFieldName(pair[0]) || !httpguts.ValidHeaderFieldValue(pair[1]) {
			r.warn(name, "one of them is no header, and is left out; write name=value, separated by commas")
			continue
		}
		t.Headers[pair[0]] = secret.Of(pair[1])
	}
	for _, key := range []string{"CLIENT_CERTIFICATE", "CLIENT_KEY"} {
		if name, v := r.of(signal, key); v != "" {
			r.warn(name, "the agent shows a collector no certificate; use a header, or a collector beside the agent")
		}
	}
	return t
}

// pairs reads "a=b,c=d", percent-encoded as in W3C's Baggage. What is wrong is not repeated:
// it may be a secret.
func (r *reader) pairs(name string) (pairs [][2]string) {
	for part := range strings.SplitSeq(r.get(name), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		decoded, err := url.PathUnescape(strings.TrimSpace(value))
		if key = strings.TrimSpace(key); !ok || key == "" || err != nil {
			r.warn(name, "one of them is no name=value, and is left out; write them separated by commas, with %%2C for a comma")
			continue
		}
		pairs = append(pairs, [2]string{key, decoded})
	}
	return pairs
}

func (r *reader) milliseconds(name string, otherwise time.Duration) time.Duration {
	v := r.get(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > 24*3600*1000 {
		r.warn(name, "it must be a number of milliseconds, such as 10000; %s is used", otherwise)
		return otherwise
	}
	return time.Duration(n) * time.Millisecond
}

// resource says what the agent is.
func (s *Settings) resource(version string) []*common.KeyValue {
	all := map[string]string{"service.version": version}
	if host, err := os.Hostname(); err == nil {
		all["host.name"] = host
	}
	for k, v := range s.attributes {
		all[k] = v
	}
	var a attributes
	for k, v := range all {
		a.text(k, v)
	}
	slices.SortFunc(a, func(x, y *common.KeyValue) int { return strings.Compare(x.Key, y.Key) })
	return a
}
