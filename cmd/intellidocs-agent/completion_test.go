package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCompletion_AnAgentThatHangsDoesNotHangTheShell(t *testing.T) {
	r := newRig(t, "")
	state := filepath.Join(r.dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	socket, err := net.Listen("unix", filepath.Join(state, "agent.sock")) // takes calls, and answers none
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "intellidocs-agent", "__complete", "-c", r.toml, "pause", "").Output()
	if err != nil || !strings.HasPrefix(string(out), "main\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
