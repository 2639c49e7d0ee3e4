package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// awayFor is how long the database is away, how often an event is written, and how large the log gets.
func awayFor() (away, every time.Duration, size int) {
	if inFull() {
		return 10 * time.Minute, 10 * time.Millisecond, 50_000
	}
	return 3 * time.Second, 2 * time.Millisecond, 20_000
}

// systemd is the service manager, as far as the agent can tell: it wants a sign of life twice in each interval.
type systemd struct {
	mu      sync.Mutex
	at      time.Time // of the latest one
	pings   int
	longest time.Duration // between two
}

const watchdogInterval = 2 * time.Second

func newSystemd(t *testing.T, r *rig) *systemd {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r.env = append(r.env, "NOTIFY_SOCKET="+path, fmt.Sprintf("WATCHDOG_USEC=%d", watchdogInterval.Microseconds()))
	s := &systemd{}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			if strings.Contains(string(b[:n]), "WATCHDOG=1") {
				s.ping()
			}
		}
	}()
	return s
}

func (s *systemd) ping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.pings > 0 {
		s.longest = max(s.longest, now.Sub(s.at))
	}
	s.at, s.pings = now, s.pings+1
}

func (s *systemd) signs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pings
}

func (s *systemd) apart() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.longest
}

// get asks the agent over its socket; 0: it does not answer.
func (r *rig) get(path string) (code int, text string) {
	r.t.Helper()
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(r.dir, "state", admin.SocketName))
	}}}
	resp, err := c.Get("http://agent" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// stored is what the database itself has: events, and the newest generation of a cursor.
func stored(t *testing.T, database string) (events, gen int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	if err := c.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM agent.event), (SELECT max(gen) FROM agent.source)").Scan(&events, &gen); err != nil {
		t.Fatal(err)
	}
	return events, gen
}

// The database does not answer at first, then refuses connections, while the log is written, turned and compressed.
func TestFleet_TheDatabaseIsAwayUnderWritingAndRotation(t *testing.T) {
	t.Parallel()
	database := pgtest.Server(t)
	recv, to := newRecorder(t, receiver.Options{})
	way, through := pgtest.Through(t, database)
	r := member(t, "pod-0", through, to)
	r.recv = recv
	r.program("gzip")
	watchdog := newSystemd(t, r)
	r.start()
	pid := r.cmd.Process.Pid
	away, every, size := awayFor()
	log := newScribe(t, r.log)
	log.compress, log.most = true, size
	for range 100 {
		log.event()
	}
	r.until("what comes before", time.Minute, func() bool { return recv.distinct() == 100 })
	r.until("readiness", time.Minute, func() bool { code, _ := r.get("/readyz"); return code == 200 })

	way.Hold()
	begun := time.Now()
	unready := func() bool {
		log.event()
		code, text := r.get("/readyz")
		return code == 503 && strings.Contains(text, "queue: ")
	}
	r.until("the reason why it is not ready", time.Minute, unready)
	t.Logf("not ready %s after the database was away", time.Since(begun).Round(time.Millisecond))
	events, gen := stored(t, database)
	before, pings := log.rotated, watchdog.signs()
	for looked := time.Now(); time.Since(begun) < away || log.rotated < before+3; {
		log.event()
		<-time.After(every)
		if time.Since(begun) > away/2 {
			way.Cut() // what refuses is away as well
		}
		if time.Since(looked) < 200*time.Millisecond {
			continue
		}
		looked = time.Now()
		if code, text := r.get("/healthz"); code != 200 {
			t.Fatalf("/healthz %d %s", code, text)
		}
		if code, text := r.get("/readyz"); code != 503 || !strings.Contains(text, "queue: ") || strings.Contains(text, pgtest.Password) {
			t.Fatalf("/readyz %d %s", code, text)
		}
	}
	way.Cut()
	r.until("two more signs of life", time.Minute, func() bool { return watchdog.signs() >= pings+2 })
	meanwhile := log.written
	if nowEvents, nowGen := stored(t, database); nowEvents != events || nowGen != gen {
		t.Errorf("%d events at generation %d, which were %d at %d: this test shows nothing", nowEvents, nowGen, events, gen)
	}
	back := time.Now()
	way.Restore()
	for range 100 {
		log.event()
	}
	r.wantAll(log.written)
	t.Logf("away for %s, %d rotations; %d events written meanwhile had arrived %s after it came back", back.Sub(begun).Round(time.Second), log.rotated-before, meanwhile-events,
		time.Since(back).Round(time.Millisecond))
	st := r.status(func(st admin.Status) bool { return st.Ready && st.Counts["success"] == int64(2*log.written) })
	if s := st.Sources[0]; s.Gaps != 0 || s.Rejected != 0 {
		t.Errorf("%+v", s)
	}
	if events, _ := stored(t, database); events != log.written {
		t.Errorf("the database has %d events of %d", events, log.written)
	}
	if r.cmd.Process.Pid != pid || r.cmd.ProcessState != nil {
		t.Error("the agent was started again")
	}
	peak, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(peak)) {
		if strings.HasPrefix(line, "VmHWM") {
			t.Logf("%d signs of life, %s apart at most; %s", watchdog.signs(), watchdog.apart().Round(time.Millisecond), strings.Join(strings.Fields(line), " "))
		}
	}
}
