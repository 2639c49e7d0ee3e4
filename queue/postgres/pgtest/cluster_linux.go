package pgtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Replication is what a commit waits for.
type Replication string

const (
	// Quorum: a commit waits until one of the two standbys has it on its disk.
	Quorum Replication = "ANY 1 (*)"
	// Asynchronous: a commit waits for the primary's own disk.
	Asynchronous Replication = ""
)

// Each machine of a cluster listens on a port of its own and reaches the primary through a link
// that can be held or cut.
const standbySettings = `
synchronous_standby_names = '%s'
wal_keep_size = 512MB
wal_retrieve_retry_interval = 100ms
primary_conninfo = 'host=127.0.0.1 port=%d user=%s password=%s application_name=%s'
`

// Machine is one server of a cluster.
type Machine struct {
	*node
	// Link is the network from this machine to the primary that it follows: held, the standby lags.
	Link *Proxy

	t    testing.TB
	disk *disk // nil: this machine's own
}

// Replicas is a primary with two standbys.
type Replicas struct {
	t        testing.TB
	database string

	mu       sync.Mutex
	primary  *Machine
	standbys []*Machine
}

var clusters atomic.Int32

// Cluster starts a primary with two standbys for t, with a database that belongs to Role.
func Cluster(t testing.TB, r Replication) *Replicas {
	t.Helper()
	return cluster(t, r, nil)
}

// ClusterOnDisks is a Cluster of machines whose power can be cut. Only root can mount their disks: others skip.
func ClusterOnDisks(t testing.TB, r Replication) *Replicas {
	t.Helper()
	return cluster(t, r, newDisk)
}

func cluster(t testing.TB, r Replication, onDisk func(testing.TB, *node) *disk) *Replicas {
	t.Helper()
	bin := installed(t)
	base, err := keptDir()
	if err != nil {
		t.Fatal(err)
	}
	c := &Replicas{t: t, database: "fleet"}
	number := clusters.Add(1)
	for i := range 3 {
		n, err := newNode(base, bin, fmt.Sprintf("cluster%d-%d", number, i))
		if err != nil {
			t.Fatal(err)
		}
		m := &Machine{node: n, t: t}
		t.Cleanup(m.remove)
		if onDisk != nil {
			m.disk = onDisk(t, n)
		}
		if i == 0 {
			c.primary = m
		} else {
			c.standbys = append(c.standbys, m)
		}
		m.Link = NewProxy(t, c.primary.address())
		c.check(m.initdb())
		c.check(m.configure(fmt.Sprintf(standbySettings, r, m.Link.Port(), superuser, Password, m.name)))
		if m.disk != nil {
			m.disk.sync()
		}
	}
	c.check(c.begin())
	return c
}

// begin starts the machines, the standbys with the same empty data as the primary.
func (c *Replicas) begin() error {
	for _, m := range c.standbys {
		if err := m.write("standby.signal", ""); err != nil {
			return err
		}
	}
	var errs [3]error
	var all sync.WaitGroup
	for i, m := range c.Machines() {
		all.Go(func() { errs[i] = m.start() })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	c.awaitStreaming(c.primary, 2)
	if err := c.primary.createRole(); err != nil {
		return err
	}
	return c.primary.asSuperuser("CREATE DATABASE " + c.database + " OWNER " + Role + " TEMPLATE template0")
}

func (c *Replicas) check(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// Primary is the machine that takes writes.
func (c *Replicas) Primary() *Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.primary
}

// Standbys are the machines that follow.
func (c *Replicas) Standbys() []*Machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]*Machine(nil), c.standbys...)
}

// Machines are the primary and then its standbys.
func (c *Replicas) Machines() []*Machine {
	return append([]*Machine{c.Primary()}, c.Standbys()...)
}

// URL names every machine, and asks for whichever takes writes.
func (c *Replicas) URL() string {
	var ports []int
	for _, m := range c.Machines() {
		ports = append(ports, m.port)
	}
	return c.url(ports)
}

func (c *Replicas) url(ports []int) string {
	var hosts []string
	for _, p := range ports {
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", p))
	}
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable&target_session_attrs=read-write",
		Role, Password, strings.Join(hosts, ","), c.database)
}

// HoldStandbys has both standbys lag from now on: with Quorum, every commit waits.
func (c *Replicas) HoldStandbys() {
	for _, m := range c.Standbys() {
		m.Link.Hold()
	}
}

// ReleaseStandbys has them catch up.
func (c *Replicas) ReleaseStandbys() {
	for _, m := range c.Standbys() {
		m.Link.Restore()
	}
}

// Failover makes the standby that has most of the log the primary, as a failover manager does that
// knows the quorum. The old primary must be dead.
func (c *Replicas) Failover() {
	c.t.Helper()
	ahead, most := (*Machine)(nil), int64(-1)
	for _, m := range c.Standbys() {
		m.Link.Cut() // what is on its way from a dead machine does not arrive
		if got := m.received(); got > most {
			ahead, most = m, got
		}
	}
	c.Promote(ahead)
}

// Promote makes a standby the primary, and has the other one follow it.
func (c *Replicas) Promote(next *Machine) {
	c.t.Helper()
	c.mu.Lock()
	var others []*Machine
	for _, m := range c.standbys {
		if m != next {
			others = append(others, m)
		}
	}
	c.primary, c.standbys = next, others
	c.mu.Unlock()
	for _, m := range others {
		m.Link.Cut()
	}
	c.check(next.run("pg_ctl", "-D", next.data(), "-w", "-s", "promote"))
	for _, m := range others {
		m.Link.Retarget(next.address())
		m.Link.Restore()
	}
	c.awaitStreaming(next, len(others))
}

// awaitStreaming returns once so many standbys follow.
func (c *Replicas) awaitStreaming(primary *Machine, standbys int) {
	c.t.Helper()
	const sql = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
	for deadline := time.Now().Add(time.Minute); primary.number(sql) < int64(standbys); {
		if time.Now().After(deadline) {
			c.t.Fatalf("%s has %d of %d standbys", primary.name, primary.number(sql), standbys)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// received is how much of the log a standby has on its disk.
func (m *Machine) received() int64 {
	m.t.Helper()
	return m.number("SELECT coalesce(pg_last_wal_receive_lsn(), '0/0') - '0/0'::pg_lsn")
}

// number is the answer to a query by the superuser.
func (m *Machine) number(sql string) (n int64) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, m.superuserSocket())
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close(ctx)
	if err := c.QueryRow(ctx, sql).Scan(&n); err != nil {
		m.t.Fatal(err)
	}
	return n
}

func (m *Machine) address() string { return fmt.Sprintf("127.0.0.1:%d", m.port) }

// Kill is kill -9 of every process of the server at once.
func (m *Machine) Kill() {
	m.t.Helper()
	if err := m.kill(); err != nil {
		m.t.Fatal(err)
	}
}

// RemoveData removes a dead machine's disk.
func (m *Machine) RemoveData() {
	m.t.Helper()
	if err := os.RemoveAll(m.data()); err != nil {
		m.t.Fatal(err)
	}
}

// Start starts a machine again that was killed.
func (m *Machine) Start() {
	m.t.Helper()
	if err := m.start(); err != nil {
		m.t.Fatal(err)
	}
}

// Stop is SIGSTOP of every process of the server.
func (m *Machine) Stop() { m.signal(syscall.SIGSTOP) }

// Cont has a stopped machine go on.
func (m *Machine) Cont() { m.signal(syscall.SIGCONT) }

func (m *Machine) remove() {
	if err := m.kill(); err != nil {
		m.t.Error(err)
	}
	if m.disk != nil {
		m.disk.remove()
	}
	if out, err := exec.Command("rm", "-rf", m.dir).CombinedOutput(); err != nil {
		m.t.Errorf("%v: %s", err, out)
	}
}

// Client is one client's way to the cluster, that can be held or cut without others being touched.
type Client struct {
	cluster *Replicas
	proxies []*Proxy
}

// Client is a new way to the cluster.
func (c *Replicas) Client() *Client {
	c.t.Helper()
	w := &Client{cluster: c}
	for _, m := range c.Machines() {
		w.proxies = append(w.proxies, NewProxy(c.t, m.address()))
	}
	return w
}

// URL is the cluster's, by this way.
func (w *Client) URL() string {
	var ports []int
	for _, p := range w.proxies {
		ports = append(ports, p.Port())
	}
	return w.cluster.url(ports)
}

// Hold holds what is sent by this way; see Proxy.
func (w *Client) Hold() { w.each((*Proxy).Hold) }

// Cut ends the connections by this way, and lets no other in.
func (w *Client) Cut() { w.each((*Proxy).Cut) }

// Restore ends either.
func (w *Client) Restore() { w.each((*Proxy).Restore) }

func (w *Client) each(do func(*Proxy)) {
	for _, p := range w.proxies {
		do(p)
	}
}
