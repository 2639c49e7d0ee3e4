package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/internal/race"
)

// scenario is one thing that happens to a log or a spool in the field: by a real writer or
// rotator where it is one, by the same system calls where it is a disk or a crash.
type scenario struct {
	kind, writer string
	// source is what the source's table has beside its path; a log by default.
	source string
	run    func(s *stage)
	// rejected and gaps are what must be told; they must not be told of anything else.
	rejected, gaps int
	// lost is how many of the events must not be delivered: they are rejected.
	lost int
	// merge: with the dedup_window of a default configuration. Without it, as in all others,
	// events are told apart by their position, so that one read twice comes under two ids.
	merge bool
}

// stage is where a scenario is played: the built agent, its source and a receiver.
type stage struct {
	*rig
	merge          bool
	written        int
	rejected, gaps int // told by agents that have ended
}

func newStage(t *testing.T, c *scenario) *stage {
	s := &stage{rig: newRig(t, ""), merge: c.merge}
	s.reconfigure(c.source)
	return s
}

// reconfigure writes agent.toml for what is at s.log by now.
func (s *stage) reconfigure(source string) {
	s.t.Helper()
	s.configure("concurrency = 8")
	if source == "" {
		source = `type = "log"`
	}
	b, err := os.ReadFile(s.toml)
	s.must(err)
	text := strings.Replace(string(b), `type = "log"`, source, 1)
	if !s.merge {
		text = strings.Replace(text, "[state]", "[state]\ndedup_window = \"0s\"", 1)
	}
	s.must(os.WriteFile(s.toml, []byte(text), 0o600))
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

const oursAt, othersAt = "[2025-11-14 15:00:00,123] [INFO] [paperless.ai_webhooks] ", "[2025-11-14 15:00:00,123] [INFO] [paperless.consumer] "

// event is another event's text. All are of one length.
func (s *stage) event() string {
	s.written++
	text := fmt.Sprintf(`{"event_type":"scenario","n":%d,"timestamp":"2025-11-14T15:00:00Z","pad":""}`, s.written-1)
	return strings.TrimSuffix(text, `"}`) + strings.Repeat("x", 100-len(text)) + `"}`
}

func (s *stage) line() string { return oursAt + s.event() }

func (s *stage) lines(n int) {
	for range n {
		s.append(s.line())
	}
}

// write has a Python logger write n events.
func (s *stage) write(kind string, n int, modules ...string) {
	s.t.Helper()
	// -P: what lies beside the script is not to be taken for Python's own modules.
	cmd := exec.Command(python(s.t, modules...), "-P", "testdata/writers.py", kind, s.log, fmt.Sprint(s.written), fmt.Sprint(n))
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", kind, err, out)
	}
	s.written += n
}

// arrived waits until all that was written so far has come.
func (s *stage) arrived(missing int) {
	s.t.Helper()
	s.until("all events", time.Minute, func() bool { return s.recv.distinct() >= s.written-missing })
}

// look asks the agent what it tells of its source.
func (s *stage) look() admin.SourceStatus {
	s.t.Helper()
	return s.status(func(st admin.Status) bool { return len(st.Sources) == 1 }).Sources[0]
}

// stop ends the agent in order, and keeps what it told.
func (s *stage) stop() {
	s.t.Helper()
	st := s.look()
	s.rejected, s.gaps = s.rejected+st.Rejected, s.gaps+int(st.Gaps)
	begun := time.Now()
	s.kill(syscall.SIGTERM)
	if took := time.Since(begun); took > 15*time.Second { // the grace is 10 s
		s.t.Errorf("SIGTERM took %s", took)
	}
}

// down has the agent read what there is, and does something while it is down.
func (s *stage) down(do func()) {
	s.t.Helper()
	s.start()
	s.arrived(0)
	s.look()
	s.stop()
	do()
	s.start()
}

// play runs the scenario and returns its row.
func (c *scenario) play(t *testing.T) (row string) {
	s := newStage(t, c)
	c.run(s)
	if s.cmd == nil {
		s.start()
	}
	s.arrived(c.lost)
	// What is missing is told some seconds after it was first missed, and what is read twice
	// comes as soon as it is looked at again: nothing else marks the end of either.
	quiet := time.Now().Add(8 * time.Second)
	s.until("what must be told", time.Minute, func() bool {
		st := s.look()
		return time.Now().After(quiet) && s.rejected+st.Rejected >= c.rejected && s.gaps+int(st.Gaps) >= c.gaps
	})
	s.stop()
	delivered, twice := s.count()
	if lost := s.written - delivered; lost != c.lost || twice != 0 || s.rejected != c.rejected || s.gaps != c.gaps {
		t.Errorf("%d of %d delivered, %d must be gone; %d under two ids; %d rejected, must be %d; %d gaps, must be %d",
			delivered, s.written, c.lost, twice, s.rejected, c.rejected, s.gaps, c.gaps)
	}
	return fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d\t%d\t\n", c.kind, c.writer, s.written, delivered, twice, s.rejected, s.gaps)
}

// count is how many events arrived, and how many of them under two ids.
func (s *stage) count() (delivered, twice int) {
	s.recv.mu.Lock()
	defer s.recv.mu.Unlock()
	ids := map[int]map[string]bool{}
	for body, under := range s.recv.ids {
		var e struct{ N *int }
		if err := json.Unmarshal([]byte(body), &e); err != nil || e.N == nil {
			s.t.Errorf("nobody wrote %s: %v", body, err)
			continue
		}
		if ids[*e.N] == nil {
			ids[*e.N] = map[string]bool{}
		}
		for id := range under {
			ids[*e.N][id] = true
		}
	}
	for _, under := range ids {
		if len(under) > 1 {
			twice++
		}
	}
	return len(ids), twice
}

// TestScenarios prints what became of each; `make scenarios` shows it.
func TestScenarios(t *testing.T) {
	var wg sync.WaitGroup
	all := race.Part(scenarios(), 3)
	rows := make([]string, len(all))
	places := make(chan struct{}, 16) // most of a scenario is waiting
	for i, c := range all {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			t.Run(c.kind+"/"+c.writer, func(t *testing.T) {
				rows[i] = c.play(t)
			})
		})
	}
	wg.Wait()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "kind\twriter\twritten\tdelivered\ttwo ids\trejected\tgaps\t\n")
	fmt.Fprint(w, strings.Join(slices.DeleteFunc(rows, func(r string) bool { return r == "" }), ""))
	_ = w.Flush()
	t.Logf("\n%s", table.String())
}
