package receivers

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
)

// snippets are programs around the README's lines: each is given body, header and secret,
// and prints whether they go together.
var snippets = map[string]struct {
	file, before, after string
	command             func(t *testing.T, file string) []string
}{
	"python": {
		"snippet.py", "", "\nimport sys\nprint(verified(sys.argv[1].encode(), sys.argv[2], sys.argv[3]))\n",
		func(t *testing.T, file string) []string { return []string{need(t, "/usr/bin/python3"), file} },
	},
	"go": {
		"snippet.go",
		"package main\n\nimport (\n\"crypto/hmac\"\n\"crypto/sha256\"\n\"encoding/hex\"\n\"fmt\"\n\"os\"\n)\n",
		"\nfunc main() { fmt.Println(verified([]byte(os.Args[1]), os.Args[2], os.Args[3])) }\n",
		func(t *testing.T, file string) []string { return []string{need(t, "go"), "run", file} },
	},
	"js": {
		"snippet.mjs",
		"const [rawBody, header, secret, id, at] = process.argv.slice(2)\n" +
			"const request = { headers: { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': header } }\n" +
			"process.on('uncaughtException', () => console.log(false))\n",
		"\nconsole.log(event.event_type === 'scan_completed')\n",
		func(t *testing.T, file string) []string {
			if err := os.Symlink(nodeModules(t), filepath.Join(filepath.Dir(file), "node_modules")); err != nil {
				t.Fatal(err)
			}
			return []string{need(t, "node"), file}
		},
	},
}

func TestReadme_ItsLinesVerifySignatures(t *testing.T) {
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const secret, body, id = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", `{"event_type": "scan_completed"}`, "evt_1"
	for language, s := range snippets {
		t.Run(language, func(t *testing.T) {
			_, code, _ := strings.Cut(string(page), "```"+language+"\n")
			code, _, found := strings.Cut(code, "```")
			if !found {
				t.Fatalf("the README has no lines in %s", language)
			}
			file := filepath.Join(t.TempDir(), s.file)
			if err := os.WriteFile(file, []byte(s.before+code+s.after), 0o600); err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			text := secret
			if language != "js" { // the others take a secret as it is
				text = "correct horse battery staple"
			}
			key, err := sign.ParseSecret(text)
			if err != nil {
				t.Fatal(err)
			}
			signer := sign.Signer{Secrets: []sign.HMACKey{key}}
			header := signer.Body([]byte(body))
			if language == "js" {
				header = signer.Standard(id, now, []byte(body))
			}
			command := s.command(t, file)
			for given, want := range map[string]string{header: "true", header + "é": "false", "": "false"} {
				arguments := slices.Concat(command[1:], []string{body, given, text, id, strconv.FormatInt(now.Unix(), 10)})
				out, err := exec.Command(command[0], arguments...).CombinedOutput()
				if got := strings.ToLower(strings.TrimSpace(string(out))); err != nil || got != want {
					t.Errorf("%q: %v %s, want %s", given, err, out, want)
				}
			}
		})
	}
}
