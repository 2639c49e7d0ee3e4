package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/dispatch"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// goner is an endpoint that can be gone for good: it answers 410.
type goner struct {
	*httptest.Server
	gone        atomic.Bool
	taken, told atomic.Int64 // requests answered with 200, with 410
	by          atomic.Value // the version that was told last
}

func newGoner(t *testing.T) *goner {
	g := &goner{}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.gone.Load() {
			g.by.Store(r.Header.Get("Version"))
			g.told.Add(1)
			w.WriteHeader(http.StatusGone)
			return
		}
		g.taken.Add(1)
	}))
	t.Cleanup(g.Close)
	return g
}

// rollout are two pods with logs of their own under one path, and a configuration in versions, which "old" tells.
type rollout struct {
	pods     []*rig
	main     *recorder
	to       string
	old, new *goner // "new" is there from version 2 on
}

func newRollout(t *testing.T) *rollout {
	o := &rollout{old: newGoner(t), new: newGoner(t)}
	o.main, o.to = newRecorder(t, receiver.Options{})
	database := pgtest.Server(t)
	for i := range 2 {
		r := member(t, fmt.Sprintf("pod-%d", i), database, o.to)
		r.recv, r.cwd = o.main, r.dir
		o.pods = append(o.pods, r)
		o.configure(i, 1)
		r.start()
	}
	return o
}

// configure gives a pod a version of the configuration.
func (o *rollout) configure(pod, version int) {
	r := o.pods[pod]
	r.t.Helper()
	text := fmt.Sprintf(`[state]
path = %q
dedup_window = "0s"
[queue]
engine = "postgres"
url_file = "queue-url"
agent = "pod-%d"
lease = 3
replication = "trust"
[[source]]
path = "/proc/self/cwd/log/paperless.log"
[admin]
listen = ""
[defaults]
timeout = 1
[[webhook]]
name = "main"
url = %q
secret = %q
[[webhook]]
name = "old"
url = %q
headers = { Version = "%d" }
`, filepath.Join(r.dir, "state"), pod, o.to, testSecret, o.old.URL, version)
	if version > 1 {
		text += fmt.Sprintf("[[webhook]]\nname = \"new\"\nurl = %q\n", o.new.URL)
	}
	tmp := r.toml + ".new"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(tmp, r.toml); err != nil {
		r.t.Fatal(err)
	}
}

// roll gives a running pod another version, and returns once it has it.
func (o *rollout) roll(pod, version int) {
	r := o.pods[pod]
	r.t.Helper()
	before := r.status(anything).Config.LoadedAt
	o.configure(pod, version)
	r.status(func(st admin.Status) bool { return st.Config.LoadedAt.After(before) })
}

func anything(admin.Status) bool { return true }

// webhook is what a pod says of one.
func (o *rollout) webhook(pod int, name string) (w admin.WebhookStatus) {
	o.pods[pod].t.Helper()
	o.pods[pod].status(func(st admin.Status) bool {
		i := slices.IndexFunc(st.Webhooks, func(w admin.WebhookStatus) bool { return w.Name == name })
		if i >= 0 {
			w = st.Webhooks[i]
		}
		return i >= 0
	})
	return w
}

func (o *rollout) until(what string, ok func() bool) {
	o.pods[0].t.Helper()
	o.pods[0].until(what, time.Minute, ok)
}

// ids are under how many ids an event has come.
func (o *rollout) ids(n int) (ids int) {
	o.main.mu.Lock()
	defer o.main.mu.Unlock()
	for body, all := range o.main.ids {
		if m := numberRE.FindStringSubmatch(body); m != nil && m[1] == fmt.Sprint(n) {
			ids += len(all)
		}
	}
	return ids
}

// One pod after the other gets another configuration, while an endpoint goes for good.
func TestFleet_AConfigurationIsRolledOut(t *testing.T) {
	t.Parallel()
	o := newRollout(t)
	// The same line at the same place of the same path, in two logs: two events.
	for _, r := range o.pods {
		r.append(eventLine(1))
	}
	o.until("both", func() bool { return o.ids(1) == 2 && o.old.taken.Load() == 2 })

	o.roll(0, 2)
	o.pods[0].append(eventLine(2)) // what the one that reads it is configured for
	o.pods[1].append(eventLine(3))
	o.until("the new webhook's first", func() bool { return o.new.taken.Load() == 1 && o.old.taken.Load() == 4 && o.main.distinct() == 3 })

	o.old.gone.Store(true)
	o.pods[1].append(eventLine(4))
	paused := func(pod int) bool { return o.webhook(pod, "old").State.State == dispatch.Paused }
	o.until("the pause", func() bool { return paused(0) && paused(1) })
	o.until("its outcomes to be stored", func() bool { // what is not would be sent again
		c := o.webhook(0, "old").Counts
		return c.Waiting() == 0 && c["failed"] == 1
	})
	met := 0 // whose configuration the 410 is about
	if o.old.by.Load() == "1" {
		met = 1
	}
	other := 1 - met
	o.pods[met].kill(syscall.SIGKILL) // the other has another configuration, but from before the 410
	o.pods[other].append(eventLine(5))
	o.until("the other to serve all", func() bool {
		return o.webhook(other, "old").Agent == fmt.Sprintf("pod-%d", other) && o.webhook(other, "main").Agent == fmt.Sprintf("pod-%d", other)
	})
	o.pods[met].start()
	o.pods[met].append(eventLine(6))
	o.until("what others want", func() bool { return o.ids(5) == 1 && o.ids(6) == 1 })
	o.until("it to be paused still", func() bool { return paused(0) && paused(1) })
	if told := o.old.told.Load(); told != 1 {
		t.Errorf("%d requests to an endpoint that is gone", told)
	}

	o.old.gone.Store(false)
	o.roll(0, 3)
	o.roll(1, 3)
	o.pods[1].append(eventLine(7))
	o.until("everything", func() bool { return o.ids(7) == 1 && o.old.taken.Load() == 4+3 })
	for i := range o.pods {
		o.until("its outcomes", func() bool {
			s := o.webhook(i, "old")
			return s.State.State != dispatch.Paused && s.Counts.Waiting() == 0 && s.Counts["failed"] == 1
		})
	}
	if told, n := o.old.told.Load(), o.ids(1); told != 1 || n != 2 {
		t.Errorf("%d requests to an endpoint that is gone; one event under %d ids", told, n)
	}
}
