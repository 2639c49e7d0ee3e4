package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// member is one of the agents that share a queue, in this process.
type member struct {
	t      *testing.T
	dir    string
	client *admin.Client
	out    bytes.Buffer
	stop   func()
	log    string // that it reads
}

// counted is a receiver that remembers how often each event came.
type counted struct {
	*httptest.Server
	mu  sync.Mutex
	ids map[string]int
}

func newCounted(t *testing.T) *counted {
	c := &counted{ids: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ids[r.Header.Get("webhook-id")]++
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *counted) count() (ids, requests int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.ids {
		requests += n
	}
	return len(c.ids), requests
}

// newMember configures an agent of the queue at a URL, with webhooks a to d for the receiver.
func newMember(t *testing.T, name, database, receiver string) *member {
	m := &member{t: t, dir: t.TempDir()}
	m.log = filepath.Join(m.dir, "ai.log")
	text := fmt.Sprintf("[state]\npath = %q\n[queue]\nengine = \"postgres\"\nurl_file = \"queue-url\"\nagent = %q\nlease = 3\nreplication = \"trust\"\n[admin]\nlisten = \"\"\n"+
		"[[source]]\npath = %q\n", filepath.Join(m.dir, "state"), name, m.log)
	for _, webhook := range []string{"a", "b", "c", "d"} {
		text += fmt.Sprintf("[[webhook]]\nname = %q\nurl = %q\n", webhook, receiver)
	}
	for file, content := range map[string]string{"agent.toml": text, "queue-url": database + "\n"} {
		if err := os.WriteFile(filepath.Join(m.dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *member) plan() *Plan {
	m.t.Helper()
	p, err := Load(filepath.Join(m.dir, "agent.toml"), &m.out)
	if err != nil {
		m.t.Fatal(err)
	}
	return p
}

// start runs the agent, which is on its way when this returns.
func (m *member) start() {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	p := m.plan()
	go func() {
		a, err := Open(ctx, p, Options{Version: "1.2.3", Running: true, Grace: time.Second})
		if err == nil {
			err = a.Run(ctx)
		}
		done <- err
	}()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !strings.Contains(err.Error(), "context canceled") {
			m.t.Errorf("the agent ended: %v", err)
		}
	})
	m.t.Cleanup(func() {
		m.stop()
		if m.t.Failed() {
			said := m.out.String()
			m.t.Logf("%s", said[max(0, len(said)-4000):])
		}
	})
	await(m.t, "the socket", func() bool {
		c, err := admin.Dial(m.t.Context(), filepath.Join(m.dir, "state"))
		m.client = c
		return err == nil
	})
}

func (m *member) write(from, to int) {
	m.t.Helper()
	f, err := os.OpenFile(m.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	for i := from; i < to; i++ {
		fmt.Fprintf(f, "{\"event_type\":\"x\",\"n\":%d}\n", i)
	}
}

func (m *member) status() admin.Status {
	s, err := m.client.Status(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// servers are how many webhooks each agent serves, as this one says.
func (m *member) servers() map[string]int {
	all := map[string]int{}
	for _, w := range m.status().Webhooks {
		all[w.Agent]++
	}
	return all
}

func TestShared_TwoAgentsServeOneQueue(t *testing.T) {
	database, to := pgtest.Server(t), newCounted(t)
	one, two := newMember(t, "pod-0", database, to.URL), newMember(t, "pod-1", database, to.URL)
	one.start()
	two.start()
	for _, m := range []*member{one, two} {
		await(t, "two webhooks for each", func() bool { s := m.servers(); return s["pod-0"] == 2 && s["pod-1"] == 2 })
	}
	one.write(0, 50)
	two.write(25, 75) // 25 of them are the same events
	await(t, "the deliveries", func() bool { n, _ := to.count(); return n >= 75 && one.status().Counts["success"] == 4*75 })
	if n, requests := to.count(); n != 75 || requests != 4*75 {
		t.Errorf("%d events in %d requests", n, requests)
	}
	if s := one.status(); !s.Ready || !strings.HasPrefix(s.Queue.Engine, "PostgreSQL ") || s.Sources[0].Name != "pod-0:"+one.log {
		t.Errorf("%+v %+v", s.Queue, s.Sources)
	}

	agents, err := two.client.Agents(t.Context())
	if err != nil || len(agents) != 2 || agents[0].State != admin.AgentAlive || agents[1].State != admin.AgentAlive || agents[0].Name != "pod-0" || agents[0].Version != "1.2.3" || len(agents[1].Webhooks) != 2 {
		t.Errorf("%v, agents %+v", err, agents)
	}
	await(t, "the other's source", func() bool {
		agents, err := two.client.Agents(t.Context())
		return err == nil && len(agents[0].Sources) == 1 && agents[0].Sources[0].Ready && agents[0].Sources[0].Name == "pod-0:"+one.log
	})
	if err := one.client.ForgetAgent(t.Context(), "pod-1"); err == nil {
		t.Error("an agent that is alive was forgotten")
	}
	if text := metrics(t, one); !strings.Contains(text, "intellidocs_agent_fleet_agents 2") || !strings.Contains(text, "intellidocs_agent_engine_up 1") || !strings.Contains(text, "intellidocs_agent_leases_lost_total 0") || strings.Count(text, "_webhook_state{state=\"healthy\"") != 2 {
		t.Errorf("metrics:\n%s", text)
	}

	// Paused by the agent that does not serve it.
	foreign := ""
	for _, w := range one.status().Webhooks {
		if w.Agent == "pod-1" {
			foreign = w.Name
		}
	}
	state := func(m *member) string {
		for _, w := range m.status().Webhooks {
			if w.Name == foreign {
				return string(w.State.State)
			}
		}
		return ""
	}
	if _, err := one.client.Pause(t.Context(), foreign, "night"); err != nil {
		t.Fatal(err)
	}
	await(t, "the pause at its server", func() bool { return state(two) == "paused" && state(one) == "paused" })
	one.write(100, 110)
	await(t, "the others' deliveries", func() bool { return one.status().Counts["success"] == 4*75+3*10 })

	// One goes, and the other serves everything, what is paused stays.
	two.stop()
	await(t, "everything at one agent", func() bool { return one.servers()["pod-0"] == 4 })
	if state(one) != "paused" {
		t.Errorf("%s is %s at its next server", foreign, state(one))
	}
	await(t, "its end to be known", func() bool { return one.status().Agents[1].State == admin.AgentStopped })
	if h := one.status().Health; strings.Contains(fmt.Sprint(h.Attention), "pod-1") {
		t.Errorf("it alarms people: %+v", h)
	}
	if err := one.client.ForgetAgent(t.Context(), "pod-1"); err != nil || len(one.status().Agents) != 1 {
		t.Errorf("%v, agents %+v", err, one.status().Agents)
	}
	if _, err := one.client.Resume(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	await(t, "the rest", func() bool { return one.status().Counts["success"] == 4*85 })
	if n, requests := to.count(); n != 85 || requests != 4*85 {
		t.Errorf("%d events in %d requests", n, requests)
	}
	one.stop()

	// A command without an agent looks into the database.
	a, err := Open(t.Context(), two.plan(), Options{Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if s, err := a.Client().Status(t.Context()); err != nil || s.Running || s.Counts["success"] != 4*85 {
		t.Errorf("%v, %+v", err, s.Counts)
	}
	for _, m := range []*member{one, two} {
		if strings.Contains(m.out.String(), pgtest.Password) {
			t.Error("the database's password is in the log")
		}
	}
}

func TestShared_AnAgentOutlivesItsDatabase(t *testing.T) {
	database, to := pgtest.Server(t), newCounted(t)
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	gate := newGateway(t, u.Host)
	u.Host = gate.addr
	m := newMember(t, "pod-0", u.String(), to.URL)
	gate.shut()
	m.start()
	ready := func() (int, string) { return get(t, filepath.Join(m.dir, "state"), "/readyz") }
	await(t, "the reason why it is not ready", func() bool { code, text := ready(); return code == 503 && strings.Contains(text, "queue: ") })
	if code, _ := get(t, filepath.Join(m.dir, "state"), "/healthz"); code != 200 {
		t.Fatalf("/healthz %d before the database was there", code)
	}
	m.write(0, 10)
	gate.open()
	await(t, "the deliveries", func() bool { n, _ := to.count(); return n == 10 })
	await(t, "readiness", func() bool { code, _ := ready(); return code == 200 })

	gate.shut()
	m.write(10, 20)
	await(t, "the reason why it is not ready any more", func() bool { code, text := ready(); return code == 503 && strings.Contains(text, "queue: ") })
	if code, _ := get(t, filepath.Join(m.dir, "state"), "/healthz"); code != 200 {
		t.Fatalf("/healthz %d while the database is away", code)
	}
	if n, _ := to.count(); n != 10 {
		t.Errorf("%d delivered", n)
	}
	gate.open()
	await(t, "the rest", func() bool { n, requests := to.count(); return n == 20 && requests >= 4*20 })
	m.stop()
	if strings.Contains(m.out.String(), pgtest.Password) {
		t.Error("the database's password is in the log")
	}
}

// get asks an agent over its socket.
func get(t *testing.T, state, path string) (int, string) {
	t.Helper()
	code, text := fetch(t, state, path)
	if code != 0 && !json.Valid([]byte(text)) {
		t.Fatal(text)
	}
	return code, text
}

func fetch(t *testing.T, state, path string) (int, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(state, admin.SocketName))
	}}}
	defer c.CloseIdleConnections()
	resp, err := c.Get("http://agent" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func metrics(t *testing.T, m *member) string {
	_, text := fetch(t, filepath.Join(m.dir, "state"), "/metrics")
	return text
}

// gateway is between an agent and the database, and can be shut.
type gateway struct {
	addr, to string
	mu       sync.Mutex
	passes   bool
	conns    []net.Conn
}

func newGateway(t *testing.T, to string) *gateway {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{addr: l.Addr().String(), to: to}
	t.Cleanup(func() { l.Close(); g.shut() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			g.pass(conn)
		}
	}()
	return g
}

func (g *gateway) pass(conn net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	there, err := net.Dial("tcp", g.to)
	if !g.passes || err != nil {
		conn.Close()
		if err == nil {
			there.Close()
		}
		return
	}
	g.conns = append(g.conns, conn, there)
	go func() { _, _ = io.Copy(conn, there); conn.Close() }()
	go func() { _, _ = io.Copy(there, conn); there.Close() }()
}

func (g *gateway) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passes = true
}

func (g *gateway) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.passes = false
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}
