//go:build !linux

package pgtest

import "testing"

// Server skips the test: the servers are Debian's.
func Server(t testing.TB) string {
	t.Helper()
	t.Skip("needs Debian's PostgreSQL")
	return ""
}

// UsualServer skips the test, too.
func UsualServer(t testing.TB) string { t.Helper(); return Server(t) }
