package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// agentsPatience is how long to wait for what the others that share the queue have said.
const agentsPatience = 2 * time.Second

// Status gathers the agent's state. Of a queue that cannot be reached it says no more than that.
func (a *Agent) Status() Status {
	enabled, cfg, webhooks := a.Config()
	stats := a.Queue.Stats()
	s := Status{
		Version: a.Version, StartedAt: a.StartedAt.UTC(), Running: a.Running, Dashboard: a.Dashboard, Enabled: enabled, Config: cfg,
		Queue: a.queueStatus(stats), Sources: a.Sources(), Rejected: stats.Rejected, Counts: Counts{}, LogRevision: a.LogRevision(),
	}
	s.Reasons = notReady(&s.Queue, s.Sources)
	s.Ready = len(s.Reasons) == 0
	var counts map[string]map[queue.Status]int64
	if stats.Away == "" {
		counts = a.Queue.Counts()
		ctx, cancel := context.WithTimeout(context.Background(), agentsPatience)
		s.Agents, _ = a.agents(ctx) // else the queue is away, which the next status says
		cancel()
	}
	for _, byStatus := range counts {
		for st, n := range byStatus {
			s.Counts[string(st)] += n
		}
	}
	s.Webhooks = a.webhooks(webhooks, counts)
	s.Health = assess(&s)
	return s
}

func (a *Agent) queueStatus(stats queue.Stats) QueueStatus {
	return QueueStatus{
		Bytes: stats.Bytes, MaxSize: a.MaxSize(), DiskFree: stats.DiskFree, Full: stats.Full, Reason: stats.Reason, Engine: stats.Engine, Away: stats.Away,
	}
}

func (a *Agent) webhooks(configured []Webhook, counts map[string]map[queue.Status]int64) []WebhookStatus {
	out := []WebhookStatus{}
	for _, st := range a.Dispatcher.States() {
		w := WebhookStatus{State: st, Name: st.Webhook, Removed: true, Events: []string{}}
		if i := slices.IndexFunc(configured, func(c Webhook) bool { return c.Name == st.Webhook }); i >= 0 {
			w.Removed, w.URL, w.Format = false, configured[i].URL, configured[i].Format
			w.Events = append(w.Events, configured[i].Events...)
		}
		out = append(out, w)
	}
	for name := range counts {
		if !slices.ContainsFunc(out, func(w WebhookStatus) bool { return w.Name == name }) {
			st := dispatch.State{Webhook: name, State: "removed", Reason: "not in the configuration; its deliveries are parked"}
			out = append(out, WebhookStatus{State: st, Name: name, Removed: true, Events: []string{}})
		}
	}
	for i := range out {
		w := &out[i]
		w.Counts = Counts{}
		for st, n := range counts[w.Name] {
			w.Counts[string(st)] = n
		}
		if counts != nil {
			w.OldestDue = moment(a.Queue.OldestDue(w.Name))
		}
	}
	// In the order of the configuration, then the parked ones by name.
	slices.SortStableFunc(out, func(x, y WebhookStatus) int {
		if x.Removed && y.Removed {
			return cmp.Compare(x.Name, y.Name)
		}
		return cmp.Compare(rank(x), rank(y))
	})
	return out
}

func rank(w WebhookStatus) int {
	if w.Removed {
		return 1
	}
	return 0
}

func notReady(q *QueueStatus, sources []SourceStatus) []string {
	reasons := []string{}
	if q.Away != "" {
		reasons = append(reasons, "queue: "+q.Away)
	}
	if q.Full {
		reasons = append(reasons, "queue: "+q.Reason)
	}
	for _, src := range sources {
		if !src.Ready {
			reasons = append(reasons, fmt.Sprintf("source %s: %s", src.Name, src.Reason))
		}
	}
	return reasons
}

// statusHandlers answer how the agent is.
type statusHandlers struct {
	agent    *Agent
	shared   sharedStatus
	stopping context.Context // ends when the server is to close
}

func newStatusHandlers(a *Agent, stopping context.Context) *statusHandlers {
	return &statusHandlers{agent: a, shared: sharedStatus{make: a.Status}, stopping: stopping}
}

func (h *statusHandlers) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := h.agent.Alive(); err != nil {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "stuck", "reason": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "alive"})
}

func (h *statusHandlers) status(http.ResponseWriter, *http.Request) (any, error) {
	return h.agent.Status(), nil
}

func (h *statusHandlers) readyz(w http.ResponseWriter, _ *http.Request) {
	q := h.agent.queueStatus(h.agent.Queue.Stats())
	reasons := notReady(&q, h.agent.Sources())
	code := http.StatusOK
	if len(reasons) > 0 {
		code = http.StatusServiceUnavailable
	}
	answer(w, code, Readiness{len(reasons) == 0, reasons})
}

// stream sends the status once a second as server-sent events, until the reader leaves,
// their token is no longer the token, or the agent stops.
func (h *statusHandlers) stream(w http.ResponseWriter, r *http.Request) {
	lasting(w) // a read deadline that passes would end the request
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	stillAdmitted, _ := r.Context().Value(admitted{}).(func() bool)
	for stillAdmitted() {
		frame, err := h.shared.frame(time.Second)
		if err != nil {
			return
		}
		_ = flush.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := w.Write(frame); err != nil {
			return
		}
		if flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-h.stopping.Done():
			return
		case <-tick.C:
		}
	}
}

// sharedStatus is the status as every stream sends it, made once for all of them.
type sharedStatus struct {
	make func() Status

	mu    sync.Mutex
	at    time.Time
	bytes []byte
}

// frame returns the server-sent event of a status that is younger than maxAge.
func (s *sharedStatus) frame(maxAge time.Duration) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes != nil && time.Since(s.at) < maxAge {
		return s.bytes, nil
	}
	data, err := json.Marshal(s.make())
	if err != nil {
		return nil, err
	}
	s.at, s.bytes = time.Now(), slices.Concat([]byte("event: status\ndata: "), data, []byte("\n\n"))
	return s.bytes, nil
}
