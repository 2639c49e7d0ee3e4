package config

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const examples = "../../../../examples/"

// 'intellidocs-agent schema > examples/agent.schema.json' writes it again.
func TestSchema_IsTheOneInTheExamples(t *testing.T) {
	kept, err := os.ReadFile(examples + "agent.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, Schema()) {
		t.Error("examples/agent.schema.json is not what 'intellidocs-agent schema' prints")
	}
}

// schemaKeys are the keys of a schema with their paths, such as webhook.tls.ca_file.
func schemaKeys(t *testing.T) []string {
	t.Helper()
	var root node
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	var keys []string
	var walk func(path string, n *node)
	walk = func(path string, n *node) {
		if n.Items != nil {
			n = n.Items
		}
		for key, child := range n.Properties {
			keys = append(keys, strings.TrimPrefix(path+"."+key, "."))
			walk(strings.TrimPrefix(path+"."+key, "."), child)
		}
	}
	walk("", &root)
	slices.Sort(keys)
	return keys
}

func TestSchema_DescribesEveryKeyAndNoOther(t *testing.T) {
	if keys, have := schemaKeys(t), slices.Sorted(maps.Keys(described)); !slices.Equal(keys, have) {
		t.Errorf("keys:\n%q\ndescribed:\n%q", keys, have)
	}
}

// schemaCases are files, and whether both check and an editor find them right.
var schemaCases = map[string]struct {
	toml string
	good bool
}{
	"every kind of value": {hook + `events = ["scan_completed"]
headers = { X-Team = "docs" }
secret = "0123456789abcdef"
previous_secrets = [{ secret = "fedcba9876543210", expires = 2999-12-31T00:00:00Z }, { secret = "fedcba9876543210", expires = 2999-12-31 }]
retry_delay = 1.5
retry_max_delay = "2h"
rate_limit = 2
tls = { server_name = "example.org" }
[state]
retention = "30d"
max_size = "1.5GiB"
[security]
allowed_ports = [443]
[[source]]
type = "spool"
path = "/spool"
after = "archive"
max_line_bytes = 4096
`, true},
	"a number of seconds in quotes": {hook + "timeout = \"90\"\n", true},
	"days and hours":                {"[state]\nretention = \"1d12h\"\n", true},
	"a misspelt key":                {hook + "secrt_file = \"x\"\n", false},
	"a misspelt table":              {"[statee]\n", false},
	"a key of another table":        {"[state]\nlisten = \"\"\n", false},
	"a webhook without a name":      {"[[webhook]]\nurl = \"https://example.org/\"\n", false},
	"a webhook without a URL":       {"[[webhook]]\nname = \"a\"\n", false},
	"a source without a path":       {"[[source]]\ntype = \"log\"\n", false},
	"a webhook in one bracket":      {"[webhook]\nname = \"a\"\nurl = \"https://example.org/\"\n", false},
	"a format that is not":          {hook + "format = \"slak\"\n", false},
	"a number for a text":           {hook + "secret = 12345678901234567890\n", false},
	"a text for a number":           {hook + "max_retries = \"3\"\n", false},
	"a fraction of a retry":         {hook + "max_retries = 1.5\n", false},
	"too many at once":              {hook + "concurrency = 5000\n", false},
	"a text for a switch":           {hook + "ordered = \"yes\"\n", false},
	"a size of words":               {"[state]\nmax_size = \"much\"\n", false},
	"a duration of words":           {"[state]\nretention = \"a month\"\n", false},
	"a port that is a text":         {"[security]\nallowed_ports = [\"443\"]\n", false},
	"a header that is a number":     {hook + "headers = { X-Team = 1 }\n", false},
	"an old secret without itself":  {hook + "secret = \"0123456789abcdef\"\nprevious_secrets = [{ expires = 2999-12-31 }]\n", false},
}

func TestSchema_AgreesWithCheck(t *testing.T) {
	for name, c := range schemaCases {
		if _, err := load(t, c.toml, nil); (err == nil) != c.good {
			t.Errorf("%s: check says %v", name, err)
		}
	}
}

// What editors run is taplo, here its own command.
func TestSchema_AgreesWithTaplo(t *testing.T) {
	taplo := filepath.Join(os.Getenv("INTELLIDOCS_NODE_MODULES"), ".bin", "taplo")
	if _, err := os.Stat(taplo); err != nil {
		t.Skip("needs the npm package @taplo/cli in INTELLIDOCS_NODE_MODULES")
	}
	schema, err := filepath.Abs(examples + "agent.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := []string{"lint", "--colors", "never", "--schema", "file://" + schema}
	want := map[string]bool{}
	put := func(name, text string, good bool) {
		file := write(t, filepath.Join(dir, name+".toml"), text)
		files, want[file] = append(files, file), good
	}
	for name, c := range schemaCases {
		put(name, c.toml, c.good)
	}
	shipped, err := filepath.Glob(examples + "*/*.toml")
	if err != nil || len(shipped) == 0 {
		t.Fatal(shipped, err)
	}
	for _, file := range append(shipped, "../../../../agent.toml.example") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		put(strings.NewReplacer("/", "_", ".", "_").Replace(file), string(text), true)
	}
	// It starts slowly, so that one run looks at them all.
	out, err := exec.Command(taplo, files...).CombinedOutput()
	if err == nil {
		t.Error("taplo finds nothing wrong")
	}
	for file, good := range want {
		if bad := bytes.Contains(out, []byte(`path="`+file+`"`)); bad == good {
			t.Errorf("%s: taplo finds it wrong: %v\n%s", file, bad, out)
		}
	}
}
