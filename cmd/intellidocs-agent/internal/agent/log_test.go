package agent

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const nasty = "a\nlevel=ERROR\x1b[31m\u009b31m\u202eb\xff"

func TestLog_NothingInItDrivesATerminal(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out strings.Builder
		log := newLogger(&out, format, new(slog.LevelVar))
		log.Info("message "+nasty, "file", nasty, "error", errors.New(nasty), "names", []string{nasty})
		log.With("source", nasty).WithGroup("g").Info("x", "deep", nasty)
		text := out.String()
		if strings.Count(text, "\n") != 2 || strings.ContainsAny(text, "\x1b\u009b\u202e") {
			t.Errorf("%s: %q", format, text)
		}
		if format == "text" {
			continue
		}
		// Nor once it is decoded.
		var line struct {
			Msg, File, Error, Level string
			Names                   []string
		}
		if err := json.Unmarshal([]byte(strings.SplitN(text, "\n", 2)[0]), &line); err != nil {
			t.Fatal(err)
		}
		want := `a\nlevel=ERROR\x1b[31m\u009b31m\u202eb\xff`
		if line.Msg != "message "+want || line.File != want || line.Error != want || line.Names[0] != want || line.Level != "INFO" {
			t.Errorf("%+v", line)
		}
	}
}

func TestNetworks_WhatOpensCloudMetadataIsWarnedOf(t *testing.T) {
	for cidr, warned := range map[string]bool{
		"169.254.169.254/32": true, "169.254.169.0/24": true, "100.100.100.0/24": true, "fd00:ec2::/64": true, "fd00:ec2::254/128": true,
		"10.0.0.0/8": false, "fd12::/16": false, "169.254.1.0/24": false,
	} {
		path := filepath.Join(t.TempDir(), "agent.toml")
		if err := os.WriteFile(path, []byte("[security]\nallowed_cidrs = [\""+cidr+"\"]\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		plan, err := Load(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, w := range plan.Config.Warnings {
			found = found || strings.Contains(w.String(), "clouds give the machine's credentials")
		}
		if found != warned {
			t.Errorf("%s: %v", cidr, plan.Config.Warnings)
		}
	}
}
