package pgtest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
)

// settings keep a server small. fsync stays on: what is committed is on the disk.
const settings = `
listen_addresses = '127.0.0.1'
shared_buffers = 16MB
max_connections = 100
min_wal_size = 16MB
max_wal_size = 128MB
dynamic_shared_memory_type = mmap # in the data directory, so that nothing is left elsewhere
log_line_prefix = '%m [%p] %u@%d '
lc_messages = 'C'
`

// usual is what PostgreSQL has by default in their place, for benchmarks.
const usual = `
shared_buffers = 128MB
min_wal_size = 80MB
max_wal_size = 1GB
`

// installed is the directory of the newest PostgreSQL's programs; without one the test is skipped.
func installed(t testing.TB) string {
	t.Helper()
	newest, bin := 0, ""
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	for _, f := range found {
		dir := filepath.Dir(f)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && v > newest {
			newest, bin = v, dir
		}
	}
	if bin == "" {
		t.Skip("needs a PostgreSQL server: apt install postgresql")
	}
	return bin
}

// unprivileged is who runs the servers: PostgreSQL refuses to run as root. Nil: whoever runs the tests.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

// node is one server: its directory, with the data in it, its socket and its log.
type node struct {
	name, dir, bin string
	port           int
	env            []string // besides the usual
	as             *syscall.Credential
}

func newNode(base, bin, name string) (*node, error) {
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	n := &node{name: name, dir: filepath.Join(base, name), bin: bin, as: as}
	if err := n.ownDir(n.dir); err != nil {
		return nil, err
	}
	n.port, err = freePort()
	return n, err
}

func (n *node) data() string    { return filepath.Join(n.dir, "data") }
func (n *node) sockets() string { return n.dir }

// ownDir makes a directory that belongs to whoever runs the server.
func (n *node) ownDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if n.as == nil {
		return nil
	}
	return os.Chown(dir, int(n.as.Uid), int(n.as.Gid))
}

// freePort is one that nobody listens on. It is below those that the system gives to connections, or a
// server that is started later, or again, might find it taken.
func freePort() (port int, err error) {
	for range 100 {
		port = 20000 + rand.IntN(12000)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// run runs one of PostgreSQL's programs to its end.
func (n *node) run(program string, args ...string) error {
	c := exec.Command(filepath.Join(n.bin, program), args...)
	c.Dir = n.dir
	c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"}, n.env...)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: n.as}
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s of %s: %w\n%s%s", program, n.name, err, out, n.logTail())
	}
	return nil
}

func (n *node) logFile() string { return filepath.Join(n.dir, "log") }

// logTail is the end of the server's log.
func (n *node) logTail() []byte {
	b, _ := os.ReadFile(n.logFile())
	return b[max(0, len(b)-4096):]
}

var template struct {
	sync.Once
	dir string
	err error
}

// initdb gives the node an empty server's data, in which passwords are asked for over TCP only. All of
// a test binary are copies of one: PostgreSQL takes them for machines of one cluster.
func (n *node) initdb() error {
	template.Do(func() { template.dir, template.err = n.newTemplate() })
	if template.err != nil {
		return template.err
	}
	if out, err := exec.Command("cp", "-a", template.dir, n.data()).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w: %s", err, out)
	}
	return n.configure(settings)
}

func (n *node) newTemplate() (dir string, err error) {
	dir = filepath.Join(filepath.Dir(n.dir), "template")
	if err := n.ownDir(dir); err != nil {
		return "", err
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(Password), 0o644); err != nil { // in a directory of 0700
		return "", err
	}
	data := filepath.Join(dir, "data")
	return data, n.run("initdb", "--no-sync", "--no-instructions", "--no-locale", "-E", "UTF8", "--wal-segsize=4",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile", password, "-U", superuser, "-D", data)
}

// configure appends to the server's configuration, where the last word counts.
func (n *node) configure(settings string) error {
	return n.write("postgresql.conf", settings)
}

// write appends to a file in the data directory.
func (n *node) write(name, text string) error {
	path := filepath.Join(n.data(), name)
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if n.as != nil {
		err = errors.Join(err, os.Chown(path, int(n.as.Uid), int(n.as.Gid)))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// start starts the server and returns once it takes connections.
func (n *node) start() error {
	// What a killed server leaves names a process that may be a zombie, or somebody else's by now.
	for _, left := range []string{
		filepath.Join(n.data(), "postmaster.pid"),
		filepath.Join(n.sockets(), fmt.Sprintf(".s.PGSQL.%d.lock", n.port)),
	} {
		if err := os.Remove(left); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	options := fmt.Sprintf("-p %d -k %s", n.port, n.sockets())
	return n.run("pg_ctl", "-D", n.data(), "-l", n.logFile(), "-o", options, "-w", "-t", "60", "-s", "start")
}
