package send

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
)

// The tests below have what is really sent checked by code that is not ours.

const (
	standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	signingKey     = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
)

// captured is a request as a receiver got it.
type captured struct {
	header http.Header
	body   []byte
}

func capture(t *testing.T, signer sign.Signer, m Message) captured {
	t.Helper()
	var got captured
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		got.header = r.Header
		got.body, _ = io.ReadAll(r.Body)
	})
	if r := endpoint(t, Config{URL: s.URL, Signer: signer}, open()).Send(t.Context(), m); r.Class != Delivered {
		t.Fatalf("%+v", r)
	}
	s.Close() // the handler is done then
	return got
}

// tampered are the request with one byte changed: of the body, and of each header that is signed.
func tampered(c captured) map[string]captured {
	out := map[string]captured{}
	for _, i := range []int{0, len(c.body) / 2, len(c.body) - 1} {
		body := bytes.Clone(c.body)
		body[i] ^= 1
		out[fmt.Sprintf("byte %d", i)] = captured{c.header, body}
	}
	for _, name := range []string{sign.HeaderID, sign.HeaderTimestamp, sign.HeaderSignature} {
		h := c.header.Clone()
		v := []byte(h.Get(name))
		v[min(len(v)-2, 8)] ^= 1
		h.Set(name, string(v))
		out[name] = captured{h, c.body}
	}
	return out
}

// lines runs a program that answers each line with a line.
func lines(t *testing.T, c *exec.Cmd) func(question any) string {
	t.Helper()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("%v: %s", err, stderr.String())
		}
	})
	r := bufio.NewReader(out)
	return func(question any) string {
		t.Helper()
		b, err := json.Marshal(question)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := in.Write(append(b, '\n')); err != nil {
			t.Fatal(err)
		}
		answer, err := r.ReadString('\n')
		if err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
		return strings.TrimSpace(answer)
	}
}

// nodeModules is where standardwebhooks and svix are, installed once a machine.
func nodeModules(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: %v", program, err)
		}
	}
	dir := os.Getenv("INTELLIDOCS_NODE_MODULES")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = os.TempDir()
		}
		dir = filepath.Join(cache, "intellidocs-agent-node", "node_modules")
	}
	if _, err := os.Stat(filepath.Join(dir, "svix")); err == nil {
		return dir
	}
	c := exec.Command("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", filepath.Dir(dir), "standardwebhooks@1.1.1", "svix@1.99.1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Skipf("needs the npm packages standardwebhooks and svix: %v\n%s", err, out)
	}
	return dir
}

func TestExternal_StandardWebhooksAndSvixAcceptAndRefuseAChangedByte(t *testing.T) {
	node := exec.Command("node", "testdata/verify.js")
	node.Env = append(os.Environ(), "NODE_PATH="+nodeModules(t))
	verify := lines(t, node)
	key, err := sign.ParseSigningKey(signingKey)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(c captured, library, secret string, raw bool) string {
		headers := map[string]string{}
		for name := range c.header {
			headers[strings.ToLower(name)] = c.header.Get(name)
		}
		return verify(map[string]any{"headers": headers, "body": c.body, "library": library, "secret": secret, "raw": raw})
	}
	plain := "a secret that is no base64"
	previous := "whsec_" + base64.StdEncoding.EncodeToString([]byte("the one from before"))
	signer := sign.Signer{Secrets: []sign.HMACKey{hmacKey(t, standardSecret), hmacKey(t, previous).Until(time.Now().Add(time.Hour)), hmacKey(t, plain)}, Key: key}
	c := capture(t, signer, sample())
	for _, library := range []string{"standardwebhooks", "svix"} {
		for _, s := range []string{standardSecret, previous} {
			if got := ask(c, library, s, false); got != "ok" {
				t.Errorf("%s refuses: %s", library, got)
			}
		}
		if got := ask(c, library, plain, true); got != "ok" {
			t.Errorf("%s refuses a secret that is used as it is: %s", library, got)
		}
		if got := ask(c, library, "whsec_AAAA", false); got == "ok" {
			t.Errorf("%s accepts by another secret", library)
		}
		for name, bad := range tampered(c) {
			if got := ask(bad, library, standardSecret, false); got == "ok" {
				t.Errorf("%s: %s accepts", name, library)
			}
		}
	}
}

// Neither library knows v1a: crypto/ed25519 checks it here, by the scheme's own words.
func TestExternal_Ed25519AcceptsAndRefusesAChangedByte(t *testing.T) {
	key, err := sign.ParseSigningKey(signingKey)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signingKey, "whsk_"))
	if err != nil {
		t.Fatal(err)
	}
	public := ed25519.PrivateKey(raw).Public().(ed25519.PublicKey)
	check := func(c captured) bool {
		sig, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(c.header.Get("webhook-signature"), "v1a,"))
		return err == nil && ed25519.Verify(public, fmt.Appendf(nil, "%s.%s.%s", c.header.Get("webhook-id"), c.header.Get("webhook-timestamp"), c.body), sig)
	}
	c := capture(t, sign.Signer{Key: key}, sample())
	if !check(c) {
		t.Error("refused")
	}
	for name, bad := range tampered(c) {
		if check(bad) {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestExternal_TheDocumentedPythonCheckAcceptsAndRefusesAChangedByte(t *testing.T) {
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Skipf("needs python3: %v", err)
	}
	verify := lines(t, exec.Command("/usr/bin/python3", "testdata/documented.py"))
	ask := func(c captured) string {
		return verify(map[string]any{"secret": "s3cret", "body": c.body, "signature": c.header.Get(sign.HeaderIntelliDocs)})
	}
	c := capture(t, sign.Signer{Secrets: []sign.HMACKey{hmacKey(t, "s3cret"), hmacKey(t, "older")}}, sample())
	if got := ask(c); got != "ok" {
		t.Error(got)
	}
	// The space after a comma is no part of what this check sees; a letter is.
	for _, i := range []int{2, len(c.body) / 2, len(c.body) - 3} {
		bad := captured{c.header, bytes.Clone(c.body)}
		bad.body[i] ^= 1
		if got := ask(bad); got == "ok" {
			t.Errorf("byte %d: accepted %s", i, bad.body)
		}
	}
}

func TestExternal_DebiansWebhookAcceptsAndRefusesAChangedByte(t *testing.T) {
	program, err := exec.LookPath("webhook")
	if err != nil {
		t.Skipf("needs webhook: %v", err)
	}
	url := startWebhook(t, program, `[{"id": "ai", "execute-command": "/bin/true", "response-message": "taken", "trigger-rule-mismatch-http-response-code": 403,
		"trigger-rule": {"match": {"type": "payload-hmac-sha256", "secret": "s3cret", "parameter": {"source": "header", "name": "X-IntelliDocs-Signature"}}}}]`)
	signer := sign.Signer{Secrets: []sign.HMACKey{hmacKey(t, "s3cret")}}
	r := endpoint(t, Config{URL: url, Signer: signer}, open()).Send(t.Context(), sample())
	if r.Class != Delivered || r.Response != "taken" {
		t.Errorf("%+v", r)
	}
	other := endpoint(t, Config{URL: url, Signer: sign.Signer{Secrets: []sign.HMACKey{hmacKey(t, "another")}}}, open())
	if r := other.Send(t.Context(), sample()); r.Class == Delivered {
		t.Errorf("another secret: %+v", r)
	}
	c := capture(t, signer, sample())
	for _, i := range []int{2, len(c.body) / 2, len(c.body) - 3} {
		body := bytes.Clone(c.body)
		body[i] ^= 1
		if status := post(t, url, captured{c.header, body}); status/100 == 2 {
			t.Errorf("byte %d: %d", i, status)
		}
	}
	if status := post(t, url, c); status != 200 {
		t.Errorf("the same request unchanged: %d", status)
	}
}

func startWebhook(t *testing.T, program, hooks string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hooks.json")
	if err := os.WriteFile(file, []byte(hooks), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	l.Close()
	c := exec.Command(program, "-hooks", file, "-ip", "127.0.0.1", "-port", fmt.Sprint(address.Port))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address.String())
		if err == nil {
			conn.Close()
			return "http://" + address.String() + "/hooks/ai"
		}
		if time.Now().After(deadline) {
			t.Fatalf("webhook does not listen: %v", err)
		}
	}
}

func post(t *testing.T, url string, c captured) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = c.header
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
