package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/sign"
	"github.com/dawnsystem/intellidocs-agent/examples/events"
)

// configuration is one of the pages of examples/configurations on this machine: its own
// agent.toml, in which nothing is changed but where things are.
type configuration struct {
	t    *testing.T
	dir  string // agent.toml and what stands beside it
	root string // in place of /
	mu   sync.Mutex
	got  map[string][]posted // by webhook
	down map[string]int      // a receiver's answer that is not 200
	ca   []byte              // the receivers' authority
}

// posted is a request to one of the receivers.
type posted struct {
	header http.Header
	body   []byte
}

func newConfiguration(t *testing.T, page string) *configuration {
	t.Helper()
	c := &configuration{t: t, dir: t.TempDir(), root: t.TempDir(), got: map[string][]posted{}, down: map[string]int{}}
	if err := os.CopyFS(c.dir, os.DirFS(filepath.Join("../../examples/configurations", page))); err != nil {
		t.Fatal(err)
	}
	c.edit(func(text string) string {
		return regexp.MustCompile(`path = "/`).ReplaceAllString(text, `path = "`+c.root+"/") + "\n[admin]\nlisten = \"\"\n"
	})
	if strings.Contains(c.toml(), "[state]") {
		c.edit(func(text string) string {
			return strings.Replace(text, "[state]\n", fmt.Sprintf("[state]\npath = %q\n", c.dir+"/state"), 1)
		})
	} else {
		c.edit(func(text string) string { return text + fmt.Sprintf("[state]\npath = %q\n", c.dir+"/state") })
	}
	return c
}

func (c *configuration) toml() string {
	text, err := os.ReadFile(filepath.Join(c.dir, "agent.toml"))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

func (c *configuration) edit(change func(text string) string) { c.put("agent.toml", change(c.toml())) }

// put writes a file beside agent.toml.
func (c *configuration) put(name, text string) {
	c.t.Helper()
	if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// receiver serves a webhook's place over TLS and returns its address. Its authority is the
// only one that the agent knows.
func (c *configuration) receiver(webhook string) string {
	c.t.Helper()
	return c.receiverWith(webhook, nil)
}

// receiverWith is a receiver with certificates of its own.
func (c *configuration) receiverWith(webhook string, own *tls.Config) string {
	c.t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			c.t.Error(err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if status := c.down[webhook]; status != 0 {
			w.WriteHeader(status)
			return
		}
		c.got[webhook] = append(c.got[webhook], posted{r.Header.Clone(), body})
	}))
	s.TLS = own
	s.StartTLS()
	c.t.Cleanup(s.Close)
	if own != nil {
		return s.URL
	}
	c.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	return s.URL
}

func (c *configuration) command(args ...string) *exec.Cmd {
	c.put("authorities.pem", string(c.ca))
	cmd := exec.Command("intellidocs-agent", append(args, "-c", filepath.Join(c.dir, "agent.toml"))...)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+filepath.Join(c.dir, "authorities.pem"), "SSL_CERT_DIR=/none")
	return cmd
}

// run checks the configuration without a warning, tries every receiver, and starts the agent.
func (c *configuration) run() {
	c.t.Helper()
	if out, err := c.command("check", "--connect").CombinedOutput(); err != nil || bytes.Contains(out, []byte("warning")) {
		c.t.Fatalf("check: %v\n%s", err, out)
	}
	cmd := c.command("run")
	said := &output{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if c.t.Failed() {
			c.t.Logf("the agent:\n%s", said)
		}
	})
}

// mkdir makes a directory where the configuration reads.
func (c *configuration) mkdir(path string) string {
	c.t.Helper()
	path = filepath.Join(c.root, path)
	if err := os.MkdirAll(path, 0o755); err != nil {
		c.t.Fatal(err)
	}
	return path
}

// line is a sample event as IntelliDocs writes it to its log, with some of it changed.
func (c *configuration) line(eventType string, change func(event map[string]any)) string {
	c.t.Helper()
	event, ok := events.AsSent(eventType, time.Now())
	if !ok {
		var err error
		if event, err = events.Sample(eventType, time.Now()); err != nil {
			c.t.Fatal(err)
		}
	}
	if change != nil {
		change(event)
	}
	text, err := json.Marshal(event)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text) + "\n"
}

// until waits for a condition.
func (c *configuration) until(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("waited a minute for this: %s", what)
		}
	}
}

// arrive waits until every webhook has these event types, in any order, and no others.
func (c *configuration) arrive(want map[string][]string) {
	c.t.Helper()
	c.until(fmt.Sprintf("%q arrive", want), func() bool {
		got := map[string][]string{}
		c.mu.Lock()
		defer c.mu.Unlock()
		for webhook, list := range c.got {
			for _, p := range list {
				got[webhook] = append(got[webhook], p.header.Get("X-IntelliDocs-Event"))
			}
			slices.Sort(got[webhook])
		}
		return maps.EqualFunc(got, want, slices.Equal)
	})
}

// bodies are what a webhook got, as JSON.
func (c *configuration) bodies(webhook string) (out []map[string]any) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.got[webhook] {
		var body map[string]any
		if err := json.Unmarshal(p.body, &body); err != nil {
			c.t.Errorf("%s got %s: %v", webhook, p.body, err)
		}
		out = append(out, body)
	}
	return out
}

// signed checks both signatures of all that a webhook got.
func (c *configuration) signed(webhook, secret string) {
	c.t.Helper()
	key, err := sign.ParseSecret(secret)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.got[webhook] {
		if err := sign.VerifyBody([]sign.HMACKey{key}, p.body, p.header.Get("X-IntelliDocs-Signature")); err != nil {
			c.t.Errorf("%s: %v", webhook, err)
		}
		if err := sign.Verify(sign.Check{Header: p.header, Body: p.body, Secrets: []sign.HMACKey{key}, Now: time.Now()}); err != nil {
			c.t.Errorf("%s: %v", webhook, err)
		}
	}
}

func TestConfiguration_Home(t *testing.T) {
	c := newConfiguration(t, "home")
	c.put("slack-url", c.receiver("slack")+"/services/T00000000/B00000000/XXXXXXXX\n")
	c.put("ntfy-url", c.receiver("phone")+"/intellidocs-0123456789abcdef\n")
	log := filepath.Join(c.mkdir("usr/src/paperless/data/log"), "ai_webhooks.log")
	appendTo(t, log, c.line("deletion_request_created", nil)+c.line("scan_completed", nil)+c.line("suggestion_auto_applied", nil))
	c.run()
	c.arrive(map[string][]string{
		"slack": {"deletion_request_created", "scan_completed"},
		"phone": {"deletion_request_created"},
	})
	for _, body := range c.bodies("slack") {
		text, _ := json.Marshal(body)
		if !bytes.Contains(text, []byte("https://docs.example.org/")) || body["text"] == "" {
			t.Errorf("Slack's message has no text or no link: %s", text)
		}
	}
	if phone := c.bodies("phone")[0]; phone["topic"] != "intellidocs-0123456789abcdef" || phone["title"] == "" || !strings.HasPrefix(phone["click"].(string), "https://docs.example.org") {
		t.Errorf("the phone got %v", phone)
	}
	// Slack takes the webhook away: the phone hears of it, and the rest waits.
	c.mu.Lock()
	c.down["slack"] = http.StatusGone
	c.mu.Unlock()
	appendTo(t, log, c.line("scan_completed", func(e map[string]any) { e["timestamp"] = time.Now().Add(time.Second) }))
	c.arrive(map[string][]string{
		"slack": {"deletion_request_created", "scan_completed"},
		"phone": {"agent.delivery_failed", "agent.webhook_paused", "deletion_request_created"},
	})
}

// selfSigned is a certificate for this machine that is its own authority.
func selfSigned(t *testing.T) (cert tls.Certificate, certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	if cert, err = tls.X509KeyPair(certPEM, keyPEM); err != nil {
		t.Fatal(err)
	}
	return cert, certPEM, keyPEM
}

func TestConfiguration_Office(t *testing.T) {
	c := newConfiguration(t, "office")
	const secret = "0123456789abcdef0123456789abcdef"
	c.put("teams-url", c.receiver("teams")+"/workflows/0000/triggers/manual/paths/invoke?sig=XXXX\n")
	c.put("records-secret", secret+"\n")
	serverCert, serverPEM, _ := selfSigned(t)
	_, clientPEM, clientKey := selfSigned(t)
	c.put("office-ca.pem", string(serverPEM))
	c.put("agent.pem", string(clientPEM))
	c.put("agent-key.pem", string(clientKey))
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(clientPEM)
	records := c.receiverWith("records", &tls.Config{
		Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients,
	})
	c.edit(func(text string) string {
		return strings.NewReplacer("https://records.office.example:8443", records, "10.20.30.0/24", "127.0.0.0/24").Replace(text)
	})
	log := filepath.Join(c.mkdir("usr/src/paperless/data/log"), "ai_webhooks.log")
	appendTo(t, log, c.line("scan_completed", nil)+c.line("deletion_request_created", nil)+c.line("suggestion_auto_applied", nil))
	c.run()
	c.arrive(map[string][]string{
		"teams":   {"deletion_request_created"},
		"records": {"deletion_request_created", "scan_completed", "suggestion_auto_applied"},
	})
	c.signed("records", secret)
	var order []any
	for _, body := range c.bodies("records") {
		order = append(order, body["event_type"])
	}
	if want := []any{"scan_completed", "deletion_request_created", "suggestion_auto_applied"}; !slices.Equal(order, want) {
		t.Errorf("the records service got %v", order)
	}
	if card := c.bodies("teams")[0]; card["type"] != "message" {
		t.Errorf("Teams got %v", card)
	}
}

func TestConfiguration_Spool(t *testing.T) {
	c := newConfiguration(t, "spool")
	const secret = "0123456789abcdef0123456789abcdef"
	c.put("archive-secret", secret+"\n")
	c.edit(func(text string) string {
		return strings.Replace(text, "https://archive.example.org", c.receiver("archive"), 1)
	})
	dir := c.mkdir("usr/src/paperless/data/ai-events")
	c.run()
	page, err := os.ReadFile("../../examples/configurations/spool/README.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := regexp.MustCompile("(?s)```sh\n(cd .*?)```").FindSubmatch(page)
	if steps == nil {
		t.Fatal("the page does not say how to write a file")
	}
	producer := exec.Command("sh", "-ec", strings.Replace(string(steps[1]), "/usr/src/paperless/data/ai-events", dir, 1))
	if out, err := producer.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c.arrive(map[string][]string{"archive": {"scan_completed"}})
	list := strings.TrimSpace(c.line("deletion_request_created", nil)) + "," + c.line("suggestion_auto_applied", nil)
	moveIn(t, dir, "000002.json", "["+list+"]")
	c.arrive(map[string][]string{"archive": {"deletion_request_created", "scan_completed", "suggestion_auto_applied"}})
	c.signed("archive", secret)
	for _, name := range []string{"000001.json", "000002.json"} {
		c.until("archive/ holds "+name, func() bool {
			_, err := os.Stat(filepath.Join(dir, "archive", name))
			return err == nil
		})
	}
}

func TestConfiguration_TwoSources(t *testing.T) {
	c := newConfiguration(t, "two-sources")
	const secret = "0123456789abcdef0123456789abcdef"
	c.put("books-secret", secret+"\n")
	c.put("legal-secret", secret[1:]+"\n")
	c.put("review-url", c.receiver("review")+"/hooks/XXXXXXXX\n")
	c.edit(func(text string) string {
		return strings.NewReplacer("https://books.example.org", c.receiver("bookkeeping"), "https://legal.example.org", c.receiver("legal")).Replace(text)
	})
	company := filepath.Join(c.mkdir("srv/intellidocs-company/data/log"), "ai_webhooks.log")
	private := filepath.Join(c.mkdir("srv/intellidocs-private/data/log"), "ai_webhooks.log")
	scan := func(id int, documentType string, suggestions int) func(map[string]any) {
		return func(e map[string]any) {
			document, summary := e["document"].(map[string]any), e["scan_summary"].(map[string]any)
			document["id"], document["document_type"], summary["suggestions_count"] = id, documentType, suggestions
		}
	}
	appendTo(t, company, c.line("scan_completed", scan(1, "Invoice", 1))+c.line("scan_completed", scan(2, "Letter", 9))+c.line("deletion_request_created", nil))
	appendTo(t, private, c.line("scan_completed", scan(3, "Letter", 1))+c.line("scan_completed", scan(4, "Invoice", 7))+
		c.line("deletion_request_created", func(e map[string]any) { e["deletion_request"].(map[string]any)["document_count"] = 1 }))
	c.run()
	c.arrive(map[string][]string{
		"bookkeeping": {"scan_completed", "scan_completed"},
		"review":      {"deletion_request_created", "deletion_request_created", "scan_completed", "scan_completed"},
		"legal":       {"deletion_request_created"},
	})
	c.signed("bookkeeping", secret)
	c.signed("legal", secret[1:])
	for _, body := range c.bodies("bookkeeping") {
		if id := body["document"].(map[string]any)["id"]; id != 1.0 && id != 4.0 {
			t.Errorf("bookkeeping got document %v", id)
		}
	}
}
