// Package pgtest runs real PostgreSQL servers for tests: Debian's, on loopback, with an
// ordinary role and little memory. Nothing of them outlives the test binary, however it ends.
package pgtest

import (
	"net/url"
	"testing"
)

const superuser = "postgres"

const (
	// Role owns each test's database and nothing else: what works here needs no other rights.
	Role = "agent"
	// Password is Role's. A test can look for it where no secret may show up.
	Password = "pgtest-pa55word"
)

// Superuser is the URL of the database at one of this package's URLs, for PostgreSQL's own superuser.
func Superuser(t testing.TB, of string) string {
	t.Helper()
	u, err := url.Parse(of)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(superuser, Password)
	return u.String()
}
