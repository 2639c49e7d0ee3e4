package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// BenchmarkHistory asks an agent that has 1,000,000 finished deliveries what people ask of
// it, beside one that has 100. The state takes minutes to make; $INTELLIDOCS_BENCH_STATE
// names a directory to keep it in.
func BenchmarkHistory(b *testing.B) {
	const total = 1_000_000
	small := newRig(b, "")
	finished(b, filepath.Join(small.dir, "state"), 100)
	rss0, view0, _ := asked(b, small, 10)
	small.kill(syscall.SIGTERM)

	r := newRig(b, "")
	state := os.Getenv("INTELLIDOCS_BENCH_STATE")
	if state != "" {
		if err := os.Symlink(state, filepath.Join(r.dir, "state")); err != nil {
			b.Fatal(err)
		}
	} else {
		state = filepath.Join(r.dir, "state")
	}
	finished(b, state, total)
	rss, view, took := asked(b, r, 50)
	for question, times := range took {
		slices.Sort(times)
		b.Logf("%-76s median %6.1f ms, slowest %6.1f ms", question, ms(times[len(times)/2]), ms(times[len(times)-1]))
	}
	began := time.Now()
	if out, err := r.run("deliveries", "--limit", "50"); err != nil || strings.Count(out, "\n") < 50 {
		b.Fatalf("%v\n%s", err, out)
	}
	command := ms(time.Since(began))
	for b.Loop() {
		// The figures above are what this is for.
	}
	b.ReportMetric(view0, "first-view-ms-of-100")
	b.ReportMetric(view, "first-view-ms")
	b.ReportMetric(command, "command-ms")
	b.ReportMetric(float64(rss0)/(1<<20), "MiB-of-100")
	b.ReportMetric(float64(rss)/(1<<20), "MiB")
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// asked starts the agent, asks it everything n times, and returns its memory after that and
// how long each answer took.
func asked(b *testing.B, r *rig, n int) (rss int64, view float64, took map[string][]time.Duration) {
	b.Helper()
	addr := r.listening()
	r.start()
	r.answering(addr)
	socket := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(r.dir, "state", "agent.sock"))
	}}}
	view = firstView(b, addr, r.token())
	took = map[string][]time.Duration{}
	minute := url.QueryEscape(time.Now().Add(-time.Minute).Format(time.RFC3339))
	for range n {
		for _, question := range []string{
			"status", "events?limit=8", "rejected?limit=20", "deliveries?limit=50", "deliveries?limit=50&status=success", "deliveries?limit=50&status=failed",
			"deliveries?limit=50&status=pending", "deliveries?limit=50&webhook=main", "deliveries?limit=50&webhook=none",
			"deliveries?limit=50&event_type=scan_completed", "deliveries?limit=50&status=failed&event_type=scan_completed&webhook=main",
			"deliveries?limit=50&since=" + minute, "deliveries?limit=50&until=" + minute,
			"deliveries?limit=50&q=nothing+holds+this", "deliveries?limit=50&q=scan",
		} {
			began := time.Now()
			resp, err := socket.Get("http://agent/api/v1/" + question)
			if err != nil {
				b.Fatal(err)
			}
			answer, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Fatalf("%s: %v %s %s", question, err, resp.Status, answer)
			}
			took[question] = append(took[question], time.Since(began))
		}
	}
	return rssOf(b, r.cmd.Process.Pid), view, took
}

func rssOf(b *testing.B, pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Skip(err)
	}
	for line := range bytes.Lines(data) {
		if f := strings.Fields(string(line)); f[0] == "VmRSS:" {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// finished fills a queue, where it is not full yet, and has everything delivered, each
// hundredth in vain.
func finished(b *testing.B, dir string, total int) {
	b.Helper()
	q, err := queue.Open(b.Context(), queue.Options{Dir: dir, DedupWindow: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := q.Close(); err != nil {
			b.Error(err)
		}
	}()
	have := q.Counts()["main"]
	for n := int(have[queue.Success] + have[queue.Failed]); n < total; {
		var batch queue.Batch
		for range 512 {
			e := queue.Event{
				ID: fmt.Sprintf("evt_%032x", n), Type: []string{"scan_completed", "deletion_request_created", "suggestion_auto_applied"}[n%3],
				TraceID: fmt.Sprintf("%032x", n+1), ReadAt: time.Now(), Body: fmt.Appendf(nil, `{"n": %d, "pad": "%s"}`, n, strings.Repeat("x", 1000)),
			}
			batch.Events = append(batch.Events, queue.NewEvent{Event: e, Webhooks: []string{"main"}})
			n++
		}
		if _, err := q.Commit(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		ds, _, err := q.Due("main", time.Now().Add(time.Hour), 1000, nil)
		if err != nil {
			b.Fatal(err)
		}
		var out []queue.Outcome
		for i, d := range ds {
			o := queue.Outcome{DeliveryID: d.ID, Status: queue.Success, URL: "http://127.0.0.1:9000/…", Attempt: queue.Attempt{N: 1, At: time.Now(), Took: 12 * time.Millisecond, Status: 200, Response: "ok"}}
			if i%100 == 0 {
				o.Status, o.Attempt.Status, o.Attempt.Error = queue.Failed, 500, "the endpoint answered 500"
			}
			out = append(out, o)
		}
		if err := q.Record(b.Context(), out...); err != nil {
			b.Fatal(err)
		}
	}
}

// firstView is how long the dashboard takes, in milliseconds, from the start of the
// navigation until its first fifty deliveries stand there.
func firstView(b *testing.B, addr, token string) float64 {
	w := newBrowser(b, addr, token)
	const watch = `new MutationObserver((_, o) => {
		if (document.querySelectorAll('#rows tbody tr[data-id]').length < 50 || !document.querySelector('[data-webhook]')) return;
		window.firstView = performance.now(); o.disconnect();
	}).observe(document, { childList: true, subtree: true });`
	w.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
		return err
	}))
	var times []float64
	for range 7 {
		w.do(chromedp.Navigate("http://" + addr + "/"))
		w.until("the first view", `window.firstView > 0`)
		times = append(times, eval[float64](w, `window.firstView`))
	}
	slices.Sort(times)
	return times[len(times)/2]
}
