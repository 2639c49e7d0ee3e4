package main

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestListen_VerifiesPrintsAndAnswersAsTold(t *testing.T) {
	addr := freePort(t)
	out := &output{}
	cmd := exec.Command("intellidocs-agent", "listen", addr, "--secret", testSecret, "--fail", "1", "--delay", "1ms")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("what it printed:\n%s", out)
		}
	}()
	r := newRig(t, "")
	r.url = "http://" + addr + "/hook"
	r.configure("")
	r.until("the receiver", 20*time.Second, func() bool { return strings.Contains(out.String(), "Listening on") })
	first, err := r.run("test", "main")
	if err == nil || !strings.Contains(first, "HTTP 500") {
		t.Errorf("the first one is to fail: %v\n%s", err, first)
	}
	if second, err := r.run("test", "main", "--event", "deletion_request_created"); err != nil || !strings.Contains(second, "delivered in") {
		t.Errorf("%v\n%s", err, second)
	}
	resp, err := http.Post(r.url, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("an unsigned request is answered %s", resp.Status)
	}
	// What it prints comes through a pipe, after its answer or before.
	for _, want := range []string{"POST /hook → 500", "POST /hook → 200", "verified X-IntelliDocs-Signature", "verified webhook-signature", `"ai_reason"`, "WRONG"} {
		r.until("the print of "+want, 20*time.Second, func() bool { return strings.Contains(out.String(), want) })
	}
}
