package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFleetExamples: the agents of examples/fleet have a configuration without a mistake.
func TestFleetExamples(t *testing.T) {
	for way, replication := range map[string]string{"compose/agent": "trust", "kubernetes": "check"} {
		text, err := os.ReadFile(filepath.Join("../../../../examples/fleet", way, "agent.toml"))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		for name, secret := range map[string]string{
			"secrets/admin_token": strings.Repeat("t", 64), "webhook_secret": "secret", "queue/uri": "postgres://a:b@db/c", "queue_url": "postgres://a:b@db/c",
		} {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(dir, "agent.toml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), `"/run/`, `"`+dir+"/")), 0o600); err != nil {
			t.Fatal(err)
		}
		plan, err := Load(file, nil)
		if err != nil {
			t.Errorf("%s: %v", way, err)
			continue
		}
		q := plan.Config.Queue
		if !q.Shared() || q.Replication != replication || q.URL.Reveal() != "postgres://a:b@db/c" {
			t.Errorf("%s: %+v", way, q)
		}
	}
}
