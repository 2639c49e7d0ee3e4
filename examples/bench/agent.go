package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// hook is a webhook of the agent's configuration.
type hook struct {
	url, ca string
	atOnce  int
	events  string // the type it wants; empty: all
}

// process is an agent, or syslog-ng, that runs.
type process struct {
	*exec.Cmd
	dir  string
	peak float64 // MiB of resident memory at its highest, once it is stopped
}

// start runs an agent over a log, with the log level that it has by default.
func (b *bench) start(log string, hooks ...hook) (*process, error) {
	dir, err := os.MkdirTemp(b.dir, "agent")
	if err != nil {
		return nil, err
	}
	var c strings.Builder
	fmt.Fprintf(&c, "[state]\npath = %q\n[admin]\nlisten = \"\"\n[[source]]\ntype = \"log\"\npath = %q\n", filepath.Join(dir, "state"), log)
	if b.postgres != "" {
		if err := b.emptied(); err != nil {
			return nil, err
		}
		fmt.Fprintf(&c, "[queue]\nengine = \"postgres\"\nurl = %q\nreplication = \"trust\"\n", b.postgres)
	}
	for i, h := range hooks {
		fmt.Fprintf(&c, "[[webhook]]\nname = \"hook-%d\"\nurl = %q\nsecret = \"a secret of the benchmark\"\nconcurrency = %d\n", i, h.url, h.atOnce)
		if h.events != "" {
			fmt.Fprintf(&c, "events = [%q]\n", h.events)
		}
		if h.ca != "" {
			fmt.Fprintf(&c, "tls = { ca_file = %q }\n", h.ca)
		}
	}
	config := filepath.Join(dir, "agent.toml")
	if err := os.WriteFile(config, []byte(c.String()), 0o600); err != nil {
		return nil, err
	}
	return run(b.ctx, dir, b.agent, "run", "-c", config)
}

// emptied removes what earlier runs left in the database.
func (b *bench) emptied() error {
	conn, err := pgx.Connect(b.ctx, b.postgres)
	if err != nil {
		return err
	}
	_, err = conn.Exec(b.ctx, "DROP SCHEMA IF EXISTS agent CASCADE")
	return errors.Join(err, conn.Close(context.WithoutCancel(b.ctx)))
}

func run(ctx context.Context, dir, program string, args ...string) (*process, error) {
	out, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c := exec.CommandContext(ctx, program, args...)
	c.Stdout, c.Stderr = out, out
	return &process{Cmd: c, dir: dir}, c.Start()
}

// stop ends it and forgets what it kept.
func (p *process) stop() error {
	p.peak = p.memory("VmHWM")
	_ = p.Process.Signal(syscall.SIGTERM)
	err := p.Wait()
	if err != nil {
		said, _ := os.ReadFile(filepath.Join(p.dir, "stderr"))
		err = fmt.Errorf("%s: %w\n%s", p.Path, err, said[max(0, len(said)-2000):])
	}
	_ = os.RemoveAll(p.dir)
	return err
}

// cpu is what the process has used up so far.
func (p *process) cpu() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	var user, system int64
	_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
	return time.Duration(user+system) * (time.Second / 100), err
}

// memory is a field of the process's status in MiB. A child's Maxrss is no use: it begins
// with what its parent had.
func (p *process) memory(field string) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
	_, rest, _ := strings.Cut(string(data), field+":")
	var kb float64
	_, _ = fmt.Sscan(rest, &kb)
	return kb / 1024
}

// delivers measures the agent over the waiting log, every event to each of n webhooks.
func (b *bench) delivers(secure bool, atOnce, n int) (figures, error) {
	r := newReceiver(secure, false)
	defer r.Close()
	ca, err := r.caFile(b.dir)
	if err != nil {
		return figures{}, err
	}
	var hooks []hook
	for i := range n {
		hooks = append(hooks, hook{url: fmt.Sprintf("%s/%d", r.URL, i), ca: ca, atOnce: atOnce})
	}
	p, err := b.start(b.log, hooks...)
	if err != nil {
		return figures{}, err
	}
	rate, waitErr := r.wait(b.ctx, int64(n*b.events))
	if err := p.stop(); err != nil {
		return figures{}, err
	}
	return b.figures(p, r, rate, n*b.events), waitErr
}

// syslog measures syslog-ng over the same log: unsigned, unrecorded, nothing synced.
func (b *bench) syslog(secure bool, atOnce int) (f figures, ok bool, err error) {
	program, err := exec.LookPath("syslog-ng")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/syslog-ng"); err != nil {
			return f, false, nil
		}
	}
	r := newReceiver(secure, false)
	defer r.Close()
	ca, err := r.caFile(b.dir)
	if err != nil {
		return f, false, err
	}
	tls := ""
	if ca != "" {
		tls = fmt.Sprintf("tls(ca-file(%q))", ca)
	}
	dir, err := os.MkdirTemp(b.dir, "syslog")
	if err != nil {
		return f, false, err
	}
	config := filepath.Join(dir, "syslog-ng.conf")
	text := fmt.Sprintf(`@version: 3.38
source s { file(%q flags(no-parse) follow-freq(1) log-iw-size(10000) log-fetch-limit(1000)); };
destination d { http(url(%q) method("POST") workers(%d) batch-lines(1) body("${MESSAGE}") %s disk-buffer(reliable(yes) disk-buf-size(1073741824) mem-buf-size(16777216) dir(%q))); };
log { source(s); destination(d); flags(flow-control); };
`, b.log, r.URL, atOnce, tls, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return f, false, err
	}
	p, err := run(b.ctx, dir, program, "-F", "--no-caps", "-f", config, "-R", filepath.Join(dir, "persist"), "-p", filepath.Join(dir, "pid"), "-c", filepath.Join(dir, "control"))
	if err != nil {
		return f, false, err
	}
	ctx, cancel := context.WithTimeout(b.ctx, 2*time.Minute)
	defer cancel()
	rate, waitErr := r.wait(ctx, int64(b.events))
	if err := p.stop(); err != nil {
		return f, false, err
	}
	return b.figures(p, r, rate, b.events), waitErr == nil, nil
}
