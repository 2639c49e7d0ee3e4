package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Access says how a listener is reached, which decides what a request must show.
type Access struct {
	// Socket: the Unix socket, which the file system guards (0600).
	Socket bool
	// Loopback: only this machine reaches the listener.
	Loopback bool
	// Host is the configured listen address; a request's Host may name it.
	Host string
	// Token returns the token as it is now. Every call of the API must show it, reading or
	// changing: other users of this machine reach the loopback too. open: it is not asked
	// for, which is possible on the loopback only.
	Token func() (token string, open bool)
}

// admits reports whether a request shows what it must.
func (a Access) admits(r *http.Request) bool {
	if a.Socket || !isAPI(r) {
		return true
	}
	if a.Token == nil {
		return false
	}
	token, open := a.Token()
	return open && a.Loopback || carries(r, token)
}

// admitted is the key under which a request's context reports whether it still would be
// let in, for calls that last: the token may have been changed.
type admitted struct{}

// csp lets the page run its own script and style and talk to its own origin, nothing else.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard answers requests that must not get further: a foreign Host (DNS rebinding), a
// foreign origin (cross-site request forgery), a missing token.
func guard(a Access, g *gate, next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	next = g.admit(next)
	checked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if foreign(origin, r) {
			problem(w, http.StatusForbidden, "the request comes from another site")
			return
		}
		if !a.admits(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="intellidocs-agent"`)
			problem(w, http.StatusUnauthorized, "this needs the admin token: open the address that 'intellidocs-agent dashboard' prints, or send 'Authorization: Bearer …' with the contents of [admin] token_file, else of "+TokenName+" in the state directory")
			return
		}
		stillAdmitted := func() bool { return a.admits(r) }
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), admitted{}, stillAdmitted)))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer busy(r)()
		h := w.Header()
		h.Set("Content-Security-Policy", csp)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		// Neither a body that trickles in nor a reader that does not read holds a connection
		// forever; calls that last extend it. A recorder in a test has no deadlines.
		deadline := http.NewResponseController(w)
		_ = deadline.SetReadDeadline(time.Now().Add(patience))
		_ = deadline.SetWriteDeadline(time.Now().Add(patience))
		if !a.Socket && a.Loopback && !hostAllowed(r.Host, a.Host) {
			problem(w, http.StatusMisdirectedRequest, "this listener answers to localhost only; the Host header names another machine")
			return
		}
		checked.ServeHTTP(w, r)
	})
}

// foreign reports whether another site's page asks. Such a page could not read the API's
// answers, but would have the agent search and stream for it, so that not even a GET of
// them is taken from there. Links to the dashboard are.
func foreign(origin *http.CrossOriginProtection, r *http.Request) bool {
	if isAPI(r) {
		change := *r
		change.Method = http.MethodPost // what is safe is not looked at
		r = &change
	}
	return origin.Check(r) != nil
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

func carries(r *http.Request, token string) bool {
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return false
	}
	// Hashing first makes both sides equally long, so that the comparison does not tell the length.
	x, y := sha256.Sum256([]byte(strings.TrimSpace(got))), sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func hostAllowed(host, configured string) bool {
	name := hostname(host)
	if name == "localhost" || strings.HasSuffix(name, ".localhost") || name == hostname(configured) {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback()
}

func hostname(hostport string) string {
	name := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		name = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), "."))
}

// IsLoopback reports whether only this machine reaches a listen address.
func IsLoopback(listen string) bool {
	name := hostname(listen)
	if name == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.IsLoopback()
}
