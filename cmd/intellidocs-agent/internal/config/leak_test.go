package config

import (
	"strings"
	"testing"
)

func TestLoad_MistakesWithSecretsDoNotRepeatThem(t *testing.T) {
	for _, line := range []string{
		"secret = hunter", `secret = "ab\xhunter"`, "secret = 4815162342", "secret = 481516234248151623424815162342", "secret = 4_815162342__7", "secret = 4_815.162342_.5",
		`secret_env = "hunter-$ecret"`, "headers = { Authorization = 4815162342 }", "previous_secrets = [{ secret = 4815162342 }]",
		`secret_file = "whsec_hunter"`, `secret_file = "aa/hunter2hunter2hunter2hunter"`, `secret_file = "` + strings.Repeat("hunter2", 99) + `"`,
		`signing_key_file = "whsk_hunter"`, `previous_secrets = [{ secret_file = "whsec_hunter" }]`,
		`tls = { ca_file = "-----BEGIN hunter" }`,
	} {
		_, err := load(t, hook+line+"\n", nil)
		if err == nil {
			t.Errorf("%s: no error", line)
			continue
		}
		_, said, _ := strings.Cut(err.Error(), "agent.toml:")
		if strings.Contains(said, "hunt") || strings.Contains(said, "4815") || strings.Contains(said, "4_815") {
			t.Errorf("%s: %s", line, said)
		}
		if !strings.HasPrefix(said, "4: ") {
			t.Errorf("%s: not on its line: %s", line, said)
		}
	}
}

func TestLoad_AURLWhereItsFileBelongsIsNotRepeated(t *testing.T) {
	_, err := load(t, "[[webhook]]\nname = \"a\"\nurl_file = \"https://hooks.example.org/services/hunter\"\n", nil)
	if err == nil || strings.Contains(err.Error(), "hunter") || !strings.Contains(err.Error(), "url_file: write the name of a file here") {
		t.Error(err)
	}
}

func TestLoad_DeepNestingIsAnErrorAndNoCrash(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("[", maxConfig-10), strings.Repeat("[\n", maxConfig/2-10), strings.Repeat("{a=", maxConfig/3-10),
	} {
		if _, err := load(t, "a = "+text, nil); err == nil || !strings.Contains(err.Error(), "nest deeper than 32") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := load(t, strings.Repeat("a.", maxConfig/2-10)+"b = 1", nil); err == nil {
		t.Error("half a million dots are no error")
	}
}

func TestLoad_EnvironmentMistakesNameTheVariable(t *testing.T) {
	for value, want := range map[string]string{"gopher": `"gopher" is not possible`, ",": "nothing could be sent"} {
		_, err := load(t, hook, vars{"PAPERLESS_WEBHOOKS_ALLOWED_SCHEMES": value})
		if err == nil || !strings.Contains(err.Error(), "environment: PAPERLESS_WEBHOOKS_ALLOWED_SCHEMES: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", value, err)
		}
	}
	c, err := load(t, hook, vars{"PAPERLESS_AI_WEBHOOKS_ENABLED": "on"})
	if err != nil || c.Enabled || len(c.Warnings) != 1 || c.Warnings[0].Key != "PAPERLESS_AI_WEBHOOKS_ENABLED" {
		t.Errorf("%v %+v", err, c)
	}
}

func TestLoad_ExpiryNeedsNoGuessing(t *testing.T) {
	for value, want := range map[string]string{
		"2099-01-01": "2099-01-01 00:00:00 +0000 UTC", "2099-01-01T02:00:00+02:00": "2099-01-01 00:00:00 +0000 UTC", "2099-01-01T00:00:00": "", "07:32:00": "",
	} {
		c, err := load(t, hook+"secret = \"x\"\nprevious_secrets = [{ secret = \"y\", expires = "+value+" }]\n", nil)
		switch {
		case (err == nil) != (want != ""):
			t.Errorf("%s: %v", value, err)
		case err == nil && c.Webhooks[0].PreviousSecrets[0].Expires.UTC().String() != want:
			t.Errorf("%s: %s", value, c.Webhooks[0].PreviousSecrets[0].Expires)
		}
	}
}
