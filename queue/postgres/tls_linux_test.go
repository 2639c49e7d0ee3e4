package postgres_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres"
	"github.com/dawnsystem/intellidocs-agent/queue/postgres/pgtest"
)

// The server is verified and the agent shows a certificate, in place of a password. What is wrong is said, without the URL
// and without anything of the key.
func TestOpen_VerifiesTheServerAndShowsACertificate(t *testing.T) {
	to, dir := pgtest.ServerTLS(t)
	var q *postgres.Queue
	eventually(t, "the server to have taken its configuration", func() (ok bool) {
		var err error
		q, err = postgres.Open(t.Context(), postgres.Options{URL: to.String(), Agent: "agent-0", Replication: "trust"})
		return err == nil
	})
	_, err := q.Commit(t.Context(), queue.Batch{Source: "s", Cursor: []byte("1"), Events: []queue.NewEvent{numbered(1, "a")}})
	if err != nil {
		t.Error(err)
	}
	if n := stored[int](t, to.String(), "SELECT count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = $1 AND NOT s.ssl", pgtest.Role); n > 0 {
		t.Errorf("%d connections without TLS", n)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}

	key, err := os.ReadFile(filepath.Join(dir, "client.key"))
	if err != nil {
		t.Fatal(err)
	}
	garbled := filepath.Join(dir, "garbled.key")
	if err := os.WriteFile(garbled, []byte(strings.Replace(string(key), "\nM", "\nZ", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(u *url.URL, v url.Values)
		says   []string
	}{
		"another authority":  {func(_ *url.URL, v url.Values) { v.Set("sslrootcert", filepath.Join(dir, "other.crt")) }, []string{"certificate signed by unknown authority"}},
		"another name":       {func(u *url.URL, _ url.Values) { u.Host = "localhost:" + u.Port() }, []string{"certificate", "localhost"}},
		"no certificate":     {func(_ *url.URL, v url.Values) { v.Del("sslcert"); v.Del("sslkey") }, []string{"certificate"}},
		"without TLS":        {func(_ *url.URL, v url.Values) { v.Set("sslmode", "disable") }, []string{"no encryption"}},
		"a file is missing":  {func(_ *url.URL, v url.Values) { v.Set("sslrootcert", filepath.Join(dir, "no.crt")) }, []string{"CA file", "no.crt", "no such file"}},
		"a key that is none": {func(_ *url.URL, v url.Values) { v.Set("sslkey", garbled) }, []string{"unable to load cert"}},
	} {
		t.Run(name, func(t *testing.T) {
			u, v := *to, to.Query()
			c.change(&u, v)
			u.RawQuery = v.Encode()
			begun := time.Now()
			q, err := postgres.Open(t.Context(), postgres.Options{URL: u.String(), Agent: "agent-0", Replication: "trust"})
			if err == nil {
				q.Close()
				t.Fatal("it was opened")
			}
			t.Logf("after %s: %v", time.Since(begun).Round(time.Millisecond), err)
			for _, text := range c.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("it does not say %q: %v", text, err)
				}
			}
			secrets := append(strings.Fields(string(key)), "postgres://", u.RawQuery)
			for _, secret := range secrets {
				if len(secret) > 8 && strings.Contains(err.Error(), secret) {
					t.Errorf("it tells %q: %v", secret, err)
				}
			}
		})
	}
}
