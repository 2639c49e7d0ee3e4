package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
)

// observed runs an agent that has seen a bit of everything, and returns a client of its
// socket: a call with a body is a POST.
func observed(t *testing.T) (*rig, func(path string, body ...string) (int, string)) {
	t.Helper()
	_, failing := newRecorder(t, receiver.Options{Status: 500})
	r := newRig(t, fmt.Sprintf("[[webhook]]\nname = \"failing\"\nurl = %q\nsecret = %q\nmax_retries = 0\n", failing, testSecret))
	r.start()
	r.append(eventLine(1), eventLine(2), eventLine(1), "no event", `[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] {"event_type": `)
	r.until("every delivery to end", 30*time.Second, func() bool { return len(r.rows("--status", "success,failed")) == 4 })
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(r.dir, "state", "agent.sock"))
	}}}
	return r, func(path string, body ...string) (int, string) {
		method := http.MethodGet
		if len(body) > 0 {
			method = http.MethodPost
		}
		req, err := http.NewRequest(method, "http://agent"+path, strings.NewReader(strings.Join(body, "")))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(answer)
	}
}

func TestMetrics_AreThereBeforeAnythingHappens(t *testing.T) {
	r := newRig(t, "")
	addr := r.listening()
	r.start()
	r.answering(addr)
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`events_ingested_total{event_type="scan_completed",source="` + r.log + `"} 0`, `records_skipped_total{reason="no_event",source="` + r.log + `"} 0`,
		`records_rejected_total{source="` + r.log + `"} 0`, `events_deduplicated_total 0`, `source_gaps_total{source="` + r.log + `"} 0`,
		`delivery_attempts_total{outcome="retry",webhook="main"} 0`, `deliveries_finished_total{status="failed",webhook="main"} 0`,
		`delivery_duration_seconds_count{webhook="main"} 0`, `event_to_delivery_seconds_count{webhook="main"} 0`,
		`queue_deliveries{status="pending",webhook="main"} 0`, `queue_oldest_due_seconds{webhook="main"} 0`,
	} {
		if !strings.Contains(string(text), "intellidocs_agent_"+want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
}

func TestMetrics_TheDocumentedOnesAreThereAndClean(t *testing.T) {
	r, get := observed(t)
	_, text := get("/metrics")
	for _, want := range []string{
		`events_ingested_total{event_type="chaos",source="` + r.log + `"} 3`, `records_skipped_total{reason="no_event",source="` + r.log + `"} 1`,
		`records_rejected_total{source="` + r.log + `"} 1`, `events_deduplicated_total 1`,
		`delivery_attempts_total{outcome="delivered",webhook="main"} 2`, `deliveries_finished_total{status="failed",webhook="failing"} 2`,
		`delivery_duration_seconds_bucket{webhook="main",`, `event_to_delivery_seconds_bucket{webhook="main",`,
		`queue_deliveries{status="success",webhook="main"} 2`, `queue_oldest_due_seconds{webhook="main"} 0`, `queue_bytes `,
		`source_lag_bytes{source="` + r.log + `"} 0`, `source_ready{source="` + r.log + `"} 1`, `webhook_state{state="healthy",webhook="main"} 1`,
		`config_reloads_total{result="success"} 0`, `build_info{version="`,
	} {
		if !strings.Contains(text, "intellidocs_agent_"+want) {
			t.Errorf("missing: %s", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	used := map[string]string{}
	for _, file := range []string{"prometheus/alerts.yml", "grafana/dashboard.json"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "examples", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`intellidocs_agent_[a-z_]+`).FindAllString(string(data), -1) {
			used[name] = file
		}
	}
	for name, file := range used {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		// Of gaps there is no series before the first one, and these two are of a queue in PostgreSQL (TestShared_TwoAgentsServeOneQueue).
		elsewhere := []string{"intellidocs_agent_source_gaps_total", "intellidocs_agent_engine_up", "intellidocs_agent_leases_lost_total"}
		if !strings.Contains(text, "# TYPE "+base+" ") && !slices.Contains(elsewhere, name) {
			t.Errorf("examples/%s uses %s, which the agent does not have", file, name)
		}
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool (apt-get install prometheus)")
	}
	for _, args := range [][]string{{"check", "metrics"}, {"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir, cmd.Stdin = filepath.Join("..", "..", "examples", "prometheus"), strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

func TestHealthcheck_TellsReadyFromAlive(t *testing.T) {
	r := newRig(t, "")
	for _, args := range [][]string{{"healthcheck"}, {"healthcheck", "--live"}} {
		if out, err := r.run(args...); err == nil || !strings.Contains(out, "no agent is running") {
			t.Errorf("%v without an agent: %v\n%s", args, err, out)
		}
	}
	r.start()
	r.until("readiness", 30*time.Second, func() bool { out, err := r.run("healthcheck"); return err == nil && out == "ready\n" })
	r.kill(syscall.SIGTERM)
	if err := os.MkdirAll(r.log, 0o700); err != nil { // a log that is a directory cannot be read
		t.Fatal(err)
	}
	r.start()
	r.until("life", 30*time.Second, func() bool { out, err := r.run("healthcheck", "--live"); return err == nil && out == "alive\n" })
	if out, err := r.run("healthcheck"); err == nil || !strings.Contains(out, "not ready: source "+r.log) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestLog_AValueOfAnyLengthIsShort(t *testing.T) {
	r := newRig(t, "")
	r.start()
	r.append(fmt.Sprintf(`{"event_type":"%s"}`, strings.Repeat("long", 100_000)))
	r.until("the event in the log", 30*time.Second, func() bool { return strings.Contains(r.agentLog(), "msg=delivered") })
	for line := range strings.SplitSeq(r.agentLog(), "\n") {
		if len(line) > 10_000 || strings.Contains(line, "delivered") && (!strings.Contains(line, "longlong") || !strings.Contains(line, "…")) {
			t.Errorf("%d bytes: %.300s", len(line), line)
		}
	}
}
