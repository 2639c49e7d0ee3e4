package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

// TestFirstHour_FromInitToAnEventOfIntelliDocsInSlack follows README as a newcomer: init's
// questions on a terminal, IntelliDocs' two lines of environment, and an event of it.
func TestFirstHour_FromInitToAnEventOfIntelliDocsInSlack(t *testing.T) {
	python := python(t, "django")
	messages := make(chan string, 10)
	slack := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		messages <- string(body)
	}))
	t.Cleanup(slack.Close)
	r := newRig(t, "")
	data := filepath.Join(r.dir, "data") // IntelliDocs', before it ever ran with the application
	if err := os.MkdirAll(filepath.Join(data, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	r.toml = filepath.Join(r.dir, "first", "agent.toml")
	// Slack's own address says the form by itself; that of this machine must be told.
	cmd, out, in := r.onTerminal(100, "init", "--format", "slack", "--state", filepath.Join(r.dir, "state"))
	defer in.Close()
	for _, step := range [][2]string{
		{"Where is IntelliDocs' data directory", data},
		{"ai_webhooks.log is not there yet; IntelliDocs writes it with its first AI event", ""},
		{"Where should events be sent", slack.URL + "/services/T0/B0/x"},
	} {
		r.until(step[0], 20*time.Second, func() bool { return strings.Contains(out.String(), step[0]) })
		if step[1] != "" {
			if _, err := in.Write([]byte(step[1] + "\n")); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "is in order: 1 source, 1 webhook") {
		t.Fatalf("%v\n%s", err, out)
	}
	// What it says comes next.
	next := regexp.MustCompile(`Try: intellidocs-agent test (\S+) -c \S+\s+Then: intellidocs-agent run -c `).FindStringSubmatch(out.String())
	if next == nil {
		t.Fatalf("it does not say what comes next:\n%s", out)
	}
	if err := os.WriteFile(r.toml, []byte(readAll(t, r.toml)+"\n[admin]\nlisten = \"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start()
	if said, err := r.run("test", next[1]); err != nil || !strings.Contains(<-messages, `"blocks"`) {
		t.Fatalf("test: %v\n%s", err, said)
	}
	host := exec.Command(python, "../../examples/intellidocs/tests/standin/scanner.py", "1", "--first", "2")
	host.Env = append(os.Environ(), "PAPERLESS_DATA_DIR="+data)
	for _, m := range regexp.MustCompile("(?s)```sh\n(PAPERLESS_APPS.*?)```").FindAllStringSubmatch(readAll(t, "../../README.md"), -1) {
		host.Env = append(host.Env, strings.Fields(m[1])...)
	}
	if said, err := host.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	select {
	case message := <-messages:
		if !strings.Contains(message, `"blocks"`) || !strings.Contains(message, "The AI asks to delete 1 document") || !strings.Contains(message, "Büro “Müller” 📄") {
			t.Errorf("Slack is sent %s", message)
		}
	case <-time.After(time.Minute):
		t.Fatalf("nothing arrives\n%s", r.agentLog())
	}
}

// commandsElsewhere are those of README that are not run here, with what runs them.
var commandsElsewhere = map[string][2]string{ // command: file, what it says there
	"go run ./cmd/intellidocs-agent demo": {".ci/run", "go run ./cmd/intellidocs-agent demo --once"},
	"go test ./...":                       {".ci/run", "tests plain go test ./... "},
	"make image":                          {".ci/container.sh", "examples/container/build.sh"},
	"make release":                        {".ci/package.sh", "release.sh"},
	"make build":                          {"Makefile", "CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o intellidocs-agent"}, // one build, as each of .ci/run's; only looked at
	// It needs a published module: what it installs is what 'go build' makes.
	"go install github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent@latest": {"go.mod", "module github.com/dawnsystem/intellidocs-agent"},
	"intellidocs-agent init":       {"cmd/intellidocs-agent/firsthour_test.go", `"init", "--format", "slack"`},
	"intellidocs-agent run":        {"cmd/intellidocs-agent/main_test.go", `exec.Command("intellidocs-agent", "run"`},
	"intellidocs-agent listen":     {"cmd/intellidocs-agent/listen_test.go", `"listen"`},
	"intellidocs-agent queue move": {"cmd/intellidocs-agent/queuemove_test.go", `"queue", "move"`},
	"intellidocs-agent verify":     {"cmd/intellidocs-agent/testdata/script/verify.txtar", "intellidocs-agent verify"},
	"manage.py dumpdata documents.AIWebhookConfig | intellidocs-agent init --from -": {"cmd/intellidocs-agent/init_test.go", `"--from", "-"`},
}

func TestFirstHour_EveryCommandOfTheREADMEIsRun(t *testing.T) {
	readme := readAll(t, "../../README.md")
	r := newRig(t, "")
	more := ""
	for name, enabled := range map[string]bool{"slack-ai": true, "slack": false, "old": false} {
		more += fmt.Sprintf("[[webhook]]\nname = %q\nenabled = %t\nurl = %q\nevents = [\"none\"]\n", name, enabled, r.url)
	}
	r.configure(more)
	if err := os.WriteFile(r.toml, []byte(strings.Replace(readAll(t, r.toml), `name = "main"`, `name = "archive"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	addr := r.listening()
	r.start()
	r.answering(addr)
	r.append(eventLine(1))
	r.until("the delivery", time.Minute, func() bool { return len(r.rows("--status", "success")) == 1 })
	row := r.rows()[0]
	backup := filepath.Join(r.dir, "backup", "ai_webhooks.log.1")
	if err := os.MkdirAll(filepath.Dir(backup), 0o755); err != nil {
		t.Fatal(err)
	}
	appendTo(t, backup, eventLine(2)+"\n")
	here := strings.NewReplacer("3f2a1b7.0", queue.ShortID(row.ID), "evt_…", row.EventID, "/backup/ai_webhooks.log.*", backup)
	seen := 0
	for _, m := range regexp.MustCompile("(?m)^\\$ (.*)$|`((?:[\\w. ]+\\| )?(?:manage\\.py dumpdata [\\w.]+ \\| )?intellidocs-agent [a-z][^`]*)`").FindAllStringSubmatch(readme, -1) {
		line, _, _ := strings.Cut(m[1]+m[2], "  #")
		for command := range strings.SplitSeq(line, " ; ") {
			command = strings.TrimSpace(command)
			seen++
			if elsewhere, ok := commandsElsewhere[command]; ok {
				if !strings.Contains(readAll(t, filepath.Join("../..", elsewhere[0])), elsewhere[1]) {
					t.Errorf("%s: %s does not run it", command, elsewhere[0])
				}
				continue
			}
			args := strings.Fields(here.Replace(command))
			if args[0] != "intellidocs-agent" {
				t.Errorf("nothing runs: %s", command)
				continue
			}
			if said, err := r.once(args[1:]...); err != nil {
				t.Errorf("%s: %v\n%s", command, err, said)
			}
		}
	}
	if seen < 25 {
		t.Errorf("only %d commands were found", seen)
	}
}

// once runs a command to its end, one that has none until it shows something.
func (r *rig) once(args ...string) (string, error) {
	if live := args[0] == "top" || strings.Contains(fmt.Sprint(args), "--follow"); !live {
		return r.run(args...)
	}
	cmd, out := exec.Command("intellidocs-agent", append(args, "-c", r.toml)...), &output{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return "", err
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Signal(syscall.SIGKILL) }()
	r.until("something of "+args[0], time.Minute, func() bool {
		if args[0] == "deliveries" {
			r.append(fmt.Sprintf(`{"event_type":"first","n":%d}`, time.Now().UnixNano()))
		}
		return out.String() != ""
	})
	return out.String(), nil
}
