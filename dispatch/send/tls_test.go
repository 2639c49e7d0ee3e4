package send

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// authority is a private CA.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{cert: cert, key: key, file: filepath.Join(t.TempDir(), "ca.pem")}
	write(t, a.file, "CERTIFICATE", der)
	return a
}

// issue makes a certificate for names, which may be addresses, in files.
func (a *authority) issue(t *testing.T, notAfter time.Time, names ...string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: names[0]}, NotBefore: notAfter.Add(-2 * time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	write(t, certFile, "CERTIFICATE", der)
	write(t, keyFile, "PRIVATE KEY", pkcs8)
	return certFile, keyFile
}

func write(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serveTLS runs an HTTPS server that answers with the protocol and the client's name.
func serveTLS(t *testing.T, a *authority, change func(*tls.Config), names ...string) *httptest.Server {
	t.Helper()
	cert, err := tls.LoadX509KeyPair(a.issue(t, time.Now().Add(time.Hour), names...))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := ""
		if len(r.TLS.PeerCertificates) > 0 {
			client = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprintf(w, "%s %s %s", r.Proto, r.Header.Get("X-IntelliDocs-Event"), client)
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.EnableHTTP2 = true // offered unless change says otherwise
	if change != nil {
		change(s.TLS)
	}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestTLS_HTTP2WhereOfferedAndHTTP1WhereNot(t *testing.T) {
	ca := newAuthority(t)
	for want, change := range map[string]func(*tls.Config){
		"HTTP/2.0 scan_completed": nil,
		"HTTP/1.1 scan_completed": func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} },
	} {
		s := serveTLS(t, ca, change, "127.0.0.1")
		e := endpoint(t, Config{URL: s.URL, TLS: TLS{CAFile: ca.file}}, open())
		r := e.Send(t.Context(), sample())
		if strings.TrimSpace(r.Response) != want || r.TLS <= r.Connect || r.Class != Delivered {
			t.Errorf("%+v", r)
		}
		if addr, err := e.Probe(t.Context()); err != nil || addr != s.Listener.Addr().String() {
			t.Errorf("probe: %s, %v", addr, err)
		}
	}
}

// TestTLS_AKeptConnectionThatWasCutCostsNoAttempt cuts connections after an exchange, as load
// balancers do, and in the middle of one, as a receiver that is restarted does.
func TestTLS_AKeptConnectionThatWasCutCostsNoAttempt(t *testing.T) {
	ca := newAuthority(t)
	for name, change := range map[string]func(*tls.Config){
		"HTTP/2": nil, "HTTP/1": func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} },
	} {
		var cut atomic.Bool
		s := serveTLS(t, ca, change, "127.0.0.1")
		answer := s.Config.Handler
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if cut.CompareAndSwap(true, false) {
				s.CloseClientConnections()
				panic(http.ErrAbortHandler)
			}
			answer.ServeHTTP(w, r)
		})
		e := endpoint(t, Config{URL: s.URL, TLS: TLS{CAFile: ca.file}}, open())
		for n := range 10 {
			if n%3 == 2 {
				s.CloseClientConnections()
			}
			cut.Store(n%3 == 1)
			if r := e.Send(t.Context(), sample()); r.Class != Delivered {
				t.Errorf("%s, exchange %d: %+v", name, n, r)
			}
		}
		// One that ends a fresh connection is down, and that is an attempt.
		fresh := endpoint(t, Config{URL: s.URL, TLS: TLS{CAFile: ca.file}}, open())
		cut.Store(true)
		if r := fresh.Send(t.Context(), sample()); r.Class != Retry {
			t.Errorf("%s, a fresh connection: %+v", name, r)
		}
	}
}

func TestTLS_WhatIsNotTrustedIsRefusedAndSaid(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	good := serveTLS(t, ca, nil, "127.0.0.1")
	named := serveTLS(t, ca, nil, "hooks.example.org")
	old := serveTLS(t, ca, func(c *tls.Config) {
		cert, err := tls.LoadX509KeyPair(ca.issue(t, time.Now().Add(-time.Hour), "127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{cert}
	}, "127.0.0.1")
	tls11 := serveTLS(t, ca, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, "127.0.0.1")
	wantsClient := serveTLS(t, ca, func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AddCert(ca.cert)
	}, "127.0.0.1")
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	certFile, keyFile := ca.issue(t, time.Now().Add(time.Hour), "agent")
	for _, c := range []struct {
		url  string
		tls  TLS
		text string // "": accepted
	}{
		{good.URL, TLS{CAFile: ca.file}, ""},
		{good.URL, TLS{}, "by an authority that is not known here; name it in tls.ca_file"},
		{good.URL, TLS{CAFile: other.file}, "by an authority that is not known here"},
		{named.URL, TLS{CAFile: ca.file}, "the certificate is for hooks.example.org and not for 127.0.0.1; set tls.server_name"},
		{named.URL, TLS{CAFile: ca.file, ServerName: "hooks.example.org"}, ""},
		{good.URL, TLS{CAFile: ca.file, ServerName: "else.example.org"}, "the certificate is for 127.0.0.1 and not for else.example.org"},
		{old.URL, TLS{CAFile: ca.file}, "is not valid: x509: certificate has expired"},
		{tls11.URL, TLS{CAFile: ca.file}, "protocol version"},
		{wantsClient.URL, TLS{CAFile: ca.file}, "; if it wants a client certificate, set tls.cert_file and tls.key_file"},
		{wantsClient.URL, TLS{CAFile: ca.file, CertFile: certFile, KeyFile: keyFile}, ""},
		{strings.Replace(plain.URL, "http", "https", 1), TLS{}, "does not speak TLS on this port"},
	} {
		r := endpoint(t, Config{URL: c.url, TLS: c.tls}, open()).Send(t.Context(), sample())
		if (r.Class == Delivered) != (c.text == "") || !strings.Contains(r.Error, c.text) {
			t.Errorf("%+v: %+v", c.tls, r)
		}
		if c.text != "" && (r.Class != Retry || !r.Outage) {
			t.Errorf("class %d, outage %v", r.Class, r.Outage)
		}
	}
}

func TestTLS_ChangedCertificateFilesAreReadAgain(t *testing.T) {
	ca := newAuthority(t)
	s := serveTLS(t, ca, func(c *tls.Config) {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AddCert(ca.cert)
	}, "127.0.0.1")
	certFile, keyFile := ca.issue(t, time.Now().Add(time.Hour), "before")
	e := endpoint(t, Config{URL: s.URL, TLS: TLS{CAFile: ca.file, CertFile: certFile, KeyFile: keyFile}}, open())
	client := func() string {
		t.Helper()
		r := e.Send(t.Context(), sample())
		if r.Class != Delivered {
			t.Fatalf("%+v", r)
		}
		return r.Response[strings.LastIndexByte(r.Response, ' ')+1:]
	}
	if got := client(); got != "before" {
		t.Errorf("the client is %q", got)
	}
	if err := os.WriteFile(certFile, []byte("half written"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := client(); got != "before" {
		t.Errorf("with a file that cannot be read, the client is %q", got)
	}
	newCert, newKey := ca.issue(t, time.Now().Add(time.Hour), "after, with another length")
	for from, to := range map[string]string{newCert: certFile, newKey: keyFile} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if got := client(); got != "length" {
		t.Errorf("after the change the client is %q", got)
	}
}

func TestProbe_ConnectsAndSendsNothing(t *testing.T) {
	got := make(chan string, 1)
	url := listen(t, func(c net.Conn) {
		b, _ := io.ReadAll(c)
		got <- string(b)
	})
	e := endpoint(t, Config{URL: url}, open())
	if addr, err := e.Probe(t.Context()); err != nil || "http://"+addr != url {
		t.Errorf("%s, %v", addr, err)
	}
	if b := <-got; b != "" {
		t.Errorf("the probe sent %q", b)
	}
	ca := newAuthority(t)
	s := serveTLS(t, ca, nil, "127.0.0.1")
	if _, err := endpoint(t, Config{URL: s.URL}, open()).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "tls.ca_file") {
		t.Error(err)
	}
}

// A handshake that hangs ends with its attempt: it must not take up a connection's place
// until the other side, which may never come to it, lets go.
func TestTLS_HandshakesThatHangDoNotKeepTheReceiverOutOnceItIsBack(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, time.Now().Add(time.Hour), "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sick := &hanging{Listener: l, first: 3}
	srv := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}}
	go func() { _ = srv.ServeTLS(sick, "", "") }()
	t.Cleanup(func() {
		srv.Close()
		for _, c := range sick.kept {
			c.Close()
		}
	})
	e := endpoint(t, Config{URL: "https://" + l.Addr().String(), TLS: TLS{CAFile: ca.file}, Timeout: 300 * time.Millisecond, Concurrency: 1}, open())
	for i := range 3 {
		if r := e.Send(t.Context(), sample()); r.Class != Retry || !strings.Contains(r.Error, "timed out") {
			t.Fatalf("%d: %+v", i, r)
		}
	}

	var r Result
	for range 20 { // a busy machine may need more than one
		if r = e.Send(t.Context(), sample()); r.Class == Delivered {
			return
		}
	}
	t.Errorf("%+v", r)
}

// hanging keeps its first connections and does nothing with them.
type hanging struct {
	net.Listener
	first int
	kept  []net.Conn
}

func (h *hanging) Accept() (net.Conn, error) {
	for len(h.kept) < h.first {
		c, err := h.Listener.Accept()
		if err != nil {
			return nil, err
		}
		h.kept = append(h.kept, c)
	}
	return h.Listener.Accept()
}

func TestTLS_ACertificateWithACommonNameAloneIsExplained(t *testing.T) {
	ca := newAuthority(t)
	s := serveTLS(t, ca, func(c *tls.Config) {
		tmpl := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "127.0.0.1"}, NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, ca.key.Public(), ca.key)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: ca.key}}
	}, "127.0.0.1")
	r := endpoint(t, Config{URL: s.URL, TLS: TLS{CAFile: ca.file}}, open()).Send(t.Context(), sample())
	if r.Class != Retry || !strings.Contains(r.Error, "only by the old Common Name (127.0.0.1)") || !strings.Contains(r.Error, "Subject Alternative Name") {
		t.Errorf("%+v", r)
	}
}

// A handshake that failed has taken no time that counts: what waits then waits for the connection.
func TestTLS_AHandshakeThatFailedIsNoPhase(t *testing.T) {
	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	e := endpoint(t, Config{URL: strings.Replace(plain.URL, "http://", "https://", 1), Timeout: time.Minute}, open())
	if r := e.Send(t.Context(), sample()); r.Class != Retry || r.Connect == 0 || r.TLS != 0 {
		t.Errorf("%+v", r)
	}
}
