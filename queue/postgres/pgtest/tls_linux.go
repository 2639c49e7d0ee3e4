package pgtest

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ServerTLS is a server of the test's own that lets in only who has a certificate of its authority. The URL verifies
// the server and names the files with which to connect, which are in dir: ca.crt, client.crt and client.key, and other.crt
// of another authority.
func ServerTLS(t testing.TB) (to *url.URL, dir string) {
	t.Helper()
	bin := installed(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl: apt install openssl")
	}
	dir = t.TempDir()
	certificate := func(name, subject string, more ...string) {
		t.Helper()
		args := append([]string{
			"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
			"-subj", "/CN=" + subject, "-keyout", name + ".key", "-out", name + ".crt",
		}, more...)
		c := exec.Command("openssl", args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("openssl: %v\n%s", err, out)
		}
	}
	certificate("ca", "the authority")
	certificate("other", "another authority")
	certificate("server", "db", "-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "subjectAltName=IP:127.0.0.1")
	certificate("client", Role, "-CA", "ca.crt", "-CAkey", "ca.key")

	n, err := single(bin, "tls", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the database is dropped
		if err := errors.Join(n.kill(), os.RemoveAll(n.dir)); err != nil {
			t.Error(err)
		}
	})
	if err := n.encrypt(dir); err != nil {
		t.Fatal(err)
	}
	to, err = url.Parse(n.freshDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	to.User = url.User(Role)
	to.RawQuery = url.Values{
		"sslmode": {"verify-full"}, "sslrootcert": {filepath.Join(dir, "ca.crt")},
		"sslcert": {filepath.Join(dir, "client.crt")}, "sslkey": {filepath.Join(dir, "client.key")},
	}.Encode()
	return to, dir
}

// encrypt has the server demand TLS and a certificate over TCP, with the files in a directory.
func (n *node) encrypt(dir string) error {
	for _, name := range []string{"ca.crt", "server.crt", "server.key"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = n.write(name, string(text))
		}
		if err != nil {
			return err
		}
	}
	if err := n.configure("ssl = on\nssl_ca_file = 'ca.crt'\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n"); err != nil {
		return err
	}
	const hba = "local all all trust\nhostssl all all 127.0.0.1/32 cert\n"
	if err := os.WriteFile(filepath.Join(n.data(), "pg_hba.conf"), []byte(hba), 0o600); err != nil {
		return err
	}
	return n.asSuperuser("SELECT pg_reload_conf()")
}
