package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dawnsystem/intellidocs-agent/internal/race"
)

// services is where the services' own libraries are: .ci/install.sh installs them and says so.
func services(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("INTELLIDOCS_NODE_MODULES")
	for _, name := range []string{"@discordjs/builders", "adaptivecards", "cloudevents"} {
		if _, err := os.Stat(filepath.Join(dir, name)); dir == "" || err != nil {
			t.Skipf("needs the npm package %s in INTELLIDOCS_NODE_MODULES", name)
		}
	}
	return dir
}

// TestServices_TheirOwnLibrariesTakeEveryMessage asks those of Discord, Adaptive Cards and
// CloudEvents, of samples, of texts as long and as odd as may be, and of samples with members
// of any type put anywhere.
func TestServices_TheirOwnLibrariesTakeEveryMessage(t *testing.T) {
	modules := services(t)
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skipf("needs node: %v", err)
	}
	type message struct {
		Format string `json:"format"`
		Body   string `json:"body"`
	}
	var all []message
	for _, body := range race.Part(oddPayloads(t), 24) {
		var e struct {
			EventType string `json:"event_type"`
		}
		if err := json.Unmarshal(body, &e); err != nil || e.EventType == "" {
			continue
		}
		in := Input{EventID: "evt_" + strings.Repeat("0", 32), EventType: e.EventType, Body: body}
		for _, format := range []string{"discord", "teams", "cloudevents"} {
			all = append(all, message{format, string(render(t, format, in))})
		}
		for _, format := range []string{"discord", "teams"} {
			all = append(all, message{format, string(linked(t, format, in))})
		}
	}
	input, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "testdata/validate.js")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stdin = bytes.NewReader(input)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	if want := fmt.Sprintf("%d good\n", len(all)); said.String() != want || out.Len() > 0 {
		t.Errorf("%s of %s%.8000s", strings.TrimSpace(said.String()), want, out.String())
	}
}

// oddPayloads are events of every kind of oddness.
func oddPayloads(t *testing.T) (all [][]byte) {
	t.Helper()
	add := func(p doc) {
		body, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, body)
	}
	for _, filler := range fillers {
		for _, p := range longPayloads(filler) {
			add(p)
		}
	}
	for _, eventType := range []string{" ", "_", "_ _", "\u200b", "*", "\n", "\u3164", strings.Repeat("_", 300)} {
		add(doc{"event_type": eventType})
		add(doc{"event_type": eventType, "document": doc{"title": eventType, "id": eventType}, "message": eventType})
	}
	rng := rand.New(rand.NewPCG(1, 2)) // the same each time: a finding can be looked into
	values := []any{nil, true, "", " ", "_", "\u202e", -1, 1e300, []any{}, []any{nil, []any{doc{}}}, doc{}, doc{"name": doc{}}, strings.Repeat("字", 3000), "https://x.example/)](", "2025-13-45T99:00:00Z"}
	for _, path := range samples(t) {
		data := readFile(t, path)
		all = append(all, data)
		for range 40 {
			var p doc
			if err := json.Unmarshal(data, &p); err != nil {
				t.Fatal(err)
			}
			for range 1 + rng.IntN(3) {
				places := pathsOf(p, nil)
				slices.SortFunc(places, func(a, b []any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
				set(p, places[rng.IntN(len(places))], values[rng.IntN(len(values))])
			}
			add(p)
		}
	}
	return all
}
