package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

// None of these mistakes hides another, whoever finds it.
func TestCheck_WhatThePartsFindIsReportedAtOnceUnderItsKey(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.pem"), []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "agent.toml")
	text := `retry_dely = 1
[[webhook]]
name = "a"
url = "https://example.org/"
secret = "whsec_!"
previous_secrets = [{ secret = "fine" }, { secret = "whsec_?" }]
signing_key = "hunter2"
filter = "1 + 1"
format = "template"
template = "x"
content_type = "garbage"
tls = { ca_file = "bad.pem", cert_file = "bad.pem", key_file = "bad.pem" }
[[webhook]]
name = "b"
url = "https://example.org/"
template = "x"
tls = { ca_file = "bad.pem", cert_file = "nowhere.pem", key_file = "bad.pem" }
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := LoadConfig(path)
	if err == nil {
		t.Fatal("no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		`:1: retry_dely: there is no such key`,
		`:5: webhook "a".secret: a secret that begins with whsec_`,
		`:6: webhook "a".previous_secrets[1].secret: a secret that begins with whsec_`,
		`:7: webhook "a".signing_key: a signing key begins with whsk_`,
		`:8: webhook "a".filter: expected bool`,
		`:11: webhook "a".content_type: content_type must be such as`,
		`:12: webhook "a".tls.ca_file: ` + dir + `/bad.pem has no certificate`,
		`:12: webhook "a".tls.cert_file: ` + dir + `/bad.pem with the key`,
		`:16: webhook "b".template: it means something for`,
		`:17: webhook "b".tls.ca_file: ` + dir + `/bad.pem has no certificate`,
		`:17: webhook "b".tls.cert_file: open ` + dir + `/nowhere.pem: no such file`,
	} {
		if n := strings.Count(err.Error(), path+want); n != 1 {
			t.Errorf("%d times: %s", n, want)
		}
	}
	if len(lines) != 11 || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("\n%v", err)
	}
}

func TestCheck_WarnsOfATargetThatIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.toml")
	text := "[[source]]\npath = \"/log\"\n[[webhook]]\nname = \"a\"\nurl = \"http://127.1:8080/\"\n[[webhook]]\nname = \"b\"\nenabled = false\nurl = \"http://127.0.0.1/\"\n" +
		"[security]\nallow_internal_requests = false\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(path, func(string) (string, bool) { return "", false }, checkWebhooks)
	if err != nil || len(cfg.Warnings) != 1 || !strings.Contains(cfg.Warnings[0].String(), `:5: webhook "a".url: deliveries to it will be given up: 127.0.0.1 is not allowed`) {
		t.Errorf("%v %v", err, cfg)
	}
}
