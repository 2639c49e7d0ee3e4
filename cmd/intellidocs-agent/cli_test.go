package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/receiver"
)

// TestScripts runs the commands as people type them.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			rec, url := newRecorder(t, receiver.Options{})
			env.Values["recorder"] = rec
			env.Setenv("RECEIVER", url)
			env.Setenv("SECRET", testSecret)
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// status N CMD…: the command exits with exactly N.
			"status": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				err = ts.Exec(args[1], args[2:]...)
				got := 0
				var exit *exec.ExitError
				if errors.As(err, &exit) {
					got = exit.ExitCode()
				} else {
					ts.Check(err)
				}
				if got != want {
					ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), got, want)
				}
			},
			// received N: the receiver has got so many different events, well signed.
			"received": func(ts *testscript.TestScript, _ bool, args []string) {
				rec := ts.Value("recorder").(*recorder)
				if got := fmt.Sprint(rec.distinct()); got != args[0] {
					ts.Fatalf("%s events arrived, want %s", got, args[0])
				}
				if len(rec.wrong) > 0 {
					ts.Fatalf("wrong signatures: %v", rec.wrong)
				}
			},
		},
	})
}

func TestHelp_EveryCommandHasAnExample(t *testing.T) {
	c := &cli{}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Example == "" {
			t.Errorf("%s --help has no example", cmd.CommandPath())
		}
		if cmd.Short == "" {
			t.Errorf("%s has no description", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(c))
}

func TestCommands_WaitForNoPipe(t *testing.T) {
	r := newRig(t, "")
	pipe := filepath.Join(r.dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(r.toml)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := r.run("ingest", pipe); err == nil || !strings.Contains(out, "it is not a regular file") {
		t.Errorf("%v\n%s", err, out)
	}
	r.configure(fmt.Sprintf("tls = { ca_file = %q }", pipe))
	if out, err := r.run("check"); err == nil || !strings.Contains(out, "tls.ca_file: "+pipe+" is not a regular file") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := os.WriteFile(r.toml, []byte(strings.Replace(string(data), r.log, pipe, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := r.run("check"); err != nil || !strings.Contains(out, "a log must be a regular file") {
		t.Errorf("%v\n%s", err, out)
	}
}

// What is switched off need not be there: nothing is sent to it.
func TestCheck_TriesNoDisabledWebhook(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	off := fmt.Sprintf("[[webhook]]\nname = \"off\"\nurl = \"http://%s\"\nenabled = false\n", nobody)
	r := newRig(t, off)
	out, err := r.run("check", "--connect")
	if err != nil || !regexp.MustCompile(`(?m)^off +disabled, not tried$`).MatchString(out) || !regexp.MustCompile(`(?m)^main +reached `).MatchString(out) {
		t.Errorf("disabled: %v\n%s", err, out)
	}
	r.configure(strings.Replace(off, "false", "true", 1))
	if out, err := r.run("check", "--connect"); err == nil || !regexp.MustCompile(`(?m)^off +NOT reached: `).MatchString(out) {
		t.Errorf("enabled: %v\n%s", err, out)
	}
}
