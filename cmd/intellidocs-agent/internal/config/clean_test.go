package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

func inUTF16(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

// A secret is the same, or an error that names its key, whichever way it comes in.
func TestSecrets_OneRuleForEachWayTheyComeIn(t *testing.T) {
	for _, c := range []struct{ text, want, wrong string }{
		{"hunter2", "hunter2", ""},
		{"hunter2\n", "hunter2", ""},
		{"hunter2\r\n\r\n", "hunter2", ""},
		{"\nhunter2", "hunter2", ""},
		{"\ufeffhunter2\r\n", "hunter2", ""},
		{`hun"ter'2`, `hun"ter'2`, ""},
		{"hun ter 2", "hun ter 2", ""},
		{"whsec_aGk=\n", "whsec_aGk=", ""},
		{inUTF16("hunter2\n"), "", "UTF-16"},
		{"\x80\x81hunter2", "", "not UTF-8 text"},
		{`"hunter2"`, "", "quotes"},
		{`'hunter2'`, "", "quotes"},
		{"“hunter2”", "", "quotes"},
		{" hunter2", "", "a space"},
		{"hunter2 \n", "", "a space"},
		{"hunter2\t", "", "a space"},
		{"\u00a0hunter2", "", "a space"},
		{"hunter2\u200b", "", "a space"},
		{"hunter2\nhunter3", "", "more than one line"},
		{"v1,whsec_aGk=", "", "at its beginning"},
		{"SECRET=whsec_aGk=", "", "at its beginning"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		ways := map[string]string{"secret_file": `"file"`, "secret_env": `"SECRET"`}
		if utf8.ValidString(c.text) && !strings.Contains(c.text, "\x00") {
			quoted := fmt.Sprintf("%q", c.text)
			ways["secret"] = strings.NewReplacer(`\ufeff`, "\ufeff", `\u00a0`, "\u00a0", `\u200b`, "\u200b").Replace(quoted)
		}
		for key, value := range ways {
			text := fmt.Sprintf("[[source]]\npath = \"/log\"\n[[webhook]]\nname = \"a\"\nurl = \"https://example.org/\"\n%s = %s\n", key, value)
			cfg, err := Load(write(t, filepath.Join(dir, "agent.toml"), text), vars{"SECRET": c.text}.lookup)
			switch {
			case c.wrong == "" && (err != nil || cfg.Webhooks[0].Secret.Reveal() != c.want):
				t.Errorf("%s of %q: %v", key, c.text, err)
			case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), `webhook "a".`+key+": ") || !strings.Contains(err.Error(), c.wrong) || strings.Contains(err.Error(), "hunter")):
				t.Errorf("%s of %q: %v, not about %q", key, c.text, err, c.wrong)
			}
		}
	}
}

func TestURL_FromAFileIsTheSame(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"\ufeffhttps://example.org/?q=a b\r\n":  "https://example.org/?q=a b",
		" https://example.org/v1,whsec_ab \n":   "https://example.org/v1,whsec_ab",
		"\"https://example.org/\"":              "",
		inUTF16("https://example.org/"):         "",
		"https://example.org/\nhttps://x.test/": "",
	} {
		if err := os.WriteFile(filepath.Join(dir, "file"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(write(t, filepath.Join(dir, "agent.toml"), "[[source]]\npath = \"/log\"\n[[webhook]]\nname = \"a\"\nurl_file = \"file\"\n"), vars{}.lookup)
		if (err == nil) != (want != "") || err == nil && cfg.Webhooks[0].URL.Reveal() != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
