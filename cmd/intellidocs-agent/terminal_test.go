package main

import (
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// onTerminal runs the program on a terminal of its own, as wide as it is told, and returns
// a way to type there.
func (r *rig) onTerminal(columns int, args ...string) (*exec.Cmd, *output, io.WriteCloser) {
	r.t.Helper()
	script, err := exec.LookPath("script")
	if err != nil {
		r.t.Skip("needs script (apt-get install bsdutils)")
	}
	line := fmt.Sprintf("stty cols %d rows 40; exec intellidocs-agent %s -c %s", columns, strings.Join(args, " "), r.toml)
	cmd, out := exec.Command(script, "--quiet", "--return", "--command", line, "/dev/null"), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	in, err := cmd.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	return cmd, out, in
}

func TestTerminal_ANarrowOneShowsWhatMatters(t *testing.T) {
	r := newRig(t, "")
	r.append(eventLine(1))
	if out, err := r.run("ingest", r.log); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	id := r.rows()[0].ID
	cmd, out, in := r.onTerminal(80, "deliveries")
	defer in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{queue.ShortID(id), "pending", "main", "chaos"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	for line := range strings.SplitSeq(regexp.MustCompile(`\x1b\[\d*m|\r`).ReplaceAllString(out.String(), ""), "\n") {
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
	}
}

func TestTerminal_OneInterruptIsEnoughAtAQuestion(t *testing.T) {
	r := newRig(t, "")
	r.append(eventLine(1))
	if out, err := r.run("ingest", r.log); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd, out, in := r.onTerminal(100, "replay", "--webhook", "main")
	defer in.Close()
	r.until("the question", 20*time.Second, func() bool { return strings.Contains(out.String(), "Queue 1 delivery again?") })
	if _, err := in.Write([]byte{3}); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatalf("it keeps waiting\n%s", out)
	}
	if cmd.ProcessState.ExitCode() != exitFailure || !strings.Contains(out.String(), "nothing was done") {
		t.Errorf("exit %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
	if whole, _ := r.run("show", r.rows()[0].ID); strings.Contains(whole, "replayed") {
		t.Errorf("it was replayed:\n%s", whole)
	}
}

func TestTerminal_NothingThatOthersWroteDrivesIt(t *testing.T) {
	const evil = "\x1b[2J\u009b31m\u202e"
	r := newRig(t, "")
	line := func(n int) string {
		return fmt.Sprintf(`{"event_type":"\u001b[2J\u009b31m\u202eodd","timestamp":"2026-01-01T00:00:00Z","n":%d}`, n)
	}
	r.append(line(1), `{"event_type": "`+evil+`, broken`)
	if out, err := r.run("ingest", r.log); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	id := r.rows()[0].ID
	for _, args := range [][]string{
		{"deliveries"},
		{"deliveries", "--json"},
		{"show", id},
		{"show", id, "--json"},
		{"rejected"},
		{"rejected", "--json"},
		{"show", "'dlv_" + evil + "'"},
	} {
		cmd, out, in := r.onTerminal(500, args...)
		err := cmd.Wait()
		in.Close()
		text := regexp.MustCompile(`\x1b\[\d+m`).ReplaceAllString(out.String(), "") // our own colours
		if strings.ContainsAny(text, "\x1b\u009b\u202e") || (err != nil) != strings.HasPrefix(args[len(args)-1], "'") || !strings.Contains(text, "2J") {
			t.Errorf("%s: %v\n%q", args, err, text)
		}
	}
}
