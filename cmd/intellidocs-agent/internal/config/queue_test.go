package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/secret"
)

const sharedQueue = "[queue]\nengine = \"postgres\"\n"

func TestQueue_WhatIsConfigured(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	c, err := load(t, hook, nil)
	if err != nil || c.Queue.Engine != Badger || c.Queue.Shared() {
		t.Fatalf("%v, %+v", err, c.Queue)
	}
	c, err = load(t, hook+sharedQueue+`url = "postgres://agent:hunter2@db-0:5432,db-1:5433/docs?target_session_attrs=read-write"
[[source]]
path = "/data/a.log"
[[source]]
path = "/data/b.log"
shared = true
`, nil)
	if err != nil {
		t.Fatal(err)
	}
	q := c.Queue
	if q.Agent != host || q.Lease != 10*time.Second || q.Replication != "check" || !strings.Contains(q.URL.Reveal(), "hunter2") {
		t.Errorf("%+v", q)
	}
	if text := fmt.Sprintf("%v %+v %s", c.Queue, c.Queue, c.Queue.URL); strings.Contains(text, "hunter2") {
		t.Errorf("the database's password prints itself: %s", text)
	}
	if a, b := c.Sources[0].Name, c.Sources[1].Name; a != host+":/data/a.log" || b != "shared:/data/b.log" {
		t.Errorf("sources %s and %s", a, b)
	}
}

func TestQueue_Mistakes(t *testing.T) {
	const good = "url = \"postgres://agent@db/docs\"\n"
	for _, c := range []struct{ lines, want string }{
		{"", "[queue].url: the database that the agents share must be named"},
		{`url = "hunter2"`, "[queue].url: it is not the URL of a PostgreSQL database"},
		{`url = "mysql://agent:hunter2@db/docs"`, "[queue].url: it is not the URL of a PostgreSQL database"},
		{`url = "postgres://agent:hunter2@db"`, "[queue].url: it names no database"},
		{`url = "postgres://agent:%zzhunter2@db/docs"`, "[queue].url: it cannot be read"},
		{good + `url_env = "HOME"`, "give only one of url"},
		{`url_env = "QUEUE_URL"`, "there is no environment variable QUEUE_URL"},
		{`url_file = "postgres://agent:hunter2@db/docs"`, "write the name of a file here"},
		{good + `agent = "a:b"`, "[queue].agent: \"a:b\" cannot be an agent's name"},
		{good + `agent = "shared"`, "cannot be an agent's name"},
		{good + `lease = 1`, "[queue].lease: it must be from 3s"},
		{good + `lease = "6m"`, "[queue].lease: it must be from 3s to 5m"},
		{good + `replication = "yes"`, "use one of check, trust"},
		{good + `lese = 10`, "did you mean \"lease\"?"},
	} {
		_, err := load(t, hook+sharedQueue+c.lines+"\n", nil)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %s", c.lines, err, c.want)
		}
	}
	if _, err := load(t, hook+"[queue]\nengine = \"postgre\"\n", nil); err == nil || !strings.Contains(err.Error(), `did you mean "postgres"?`) {
		t.Error(err)
	}
}

func TestQueue_Warnings(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"[queue]\nlease = 20\n", "[queue].lease: it is only for engine"},
		{"[queue]\nurl = \"postgres://db/docs\"\n", "[queue].url: it is only for engine"},
		{"[[source]]\npath = \"/x/ai.log\"\nshared = true\n", "shared: it is only for engine"},
		{sharedQueue + "url = \"postgres://agent:hunter2@db.example.org/docs\"\n", "may go unencrypted to a public host"},
		{sharedQueue + "url = \"postgres://agent:hunter2@db,db.example.org:5432/docs?sslmode=prefer\"\n", "may go unencrypted to a public host"},
		{sharedQueue + "url = \"postgres://agent:hunter2@db.example.org/docs?sslmode=verify-full\"\n", ""},
		{sharedQueue + "url = \"postgres://agent:hunter2@db-0:1,db-1.svc.cluster.local:2/docs\"\n", ""},
	} {
		conf, err := load(t, hook+c.text, nil)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		var said []string
		for _, w := range conf.Warnings {
			if text := w.String(); strings.Contains(text, "queue") || strings.Contains(text, "shared") {
				said = append(said, text)
			}
		}
		text := strings.Join(said, "\n")
		if (text == "") != (c.want == "") || !strings.Contains(text, c.want) || strings.Contains(text, "hunter2") {
			t.Errorf("%s: %q, want %q", c.text, text, c.want)
		}
	}
}

func TestQueue_AFileThatOthersMayReadIsSaid(t *testing.T) {
	for url, want := range map[string]bool{
		"postgres://agent:hunter2@db-0:5432,db-1:5432/docs": true, "postgres://agent@db/docs?password=hunter2": true, "postgres://db-0:1,db-1:2/docs": false,
	} {
		path := filepath.Join(t.TempDir(), "agent.toml")
		if err := os.WriteFile(path, []byte(hook+sharedQueue+"url = \""+url+"\"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, vars(nil).lookup)
		if err != nil {
			t.Fatal(err)
		}
		said := false
		for _, w := range c.Warnings {
			said = said || strings.Contains(w.String(), "[queue].url")
		}
		if said != want {
			t.Errorf("%s: said %t", url, said)
		}
	}
}

func TestKeyFor_TheSourceOfAnotherAgentHasItsKeyToo(t *testing.T) {
	c := Config{Sources: []Source{{Path: "/data/a.log", Name: "pod-0:/data/a.log", Key: secret.Of("k")}}}
	for name, want := range map[string]string{"/data/a.log": "k", "pod-0:/data/a.log": "k", "pod-1:/data/a.log": "k", "shared:/data/a.log": "k", "pod-1:/data/b.log": ""} {
		if got := string(c.KeyFor(name, "")); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
