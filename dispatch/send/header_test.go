package send

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestHeader_IsKeptWithoutWhatLetsSomebodyIn(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Set-Cookie", "sid=planted-1; HttpOnly")
		h.Set("Authorization", "Bearer planted-2")
		h.Set("X-Auth-Token", "planted-3")
		h.Set("X-Csrf", "planted-4")
		h.Set("X-Echo", r.Header.Get("X-Api-Token"))
		h.Set("Location", "https://example.com/a?token=planted-6")
		h.Set("Www-Authenticate", `Basic realm="hooks"`)
		h["X-Odd"] = []string{"a byte \xff", "again"}
		h.Set("Retry-After", "120")
		w.WriteHeader(http.StatusUnauthorized)
	})
	e := endpoint(t, Config{URL: s.URL, Headers: map[string]string{"X-Api-Token": "planted-5-of-the-webhook"}}, open())
	r := e.Send(t.Context(), sample())
	if strings.Contains(r.Header, "planted") || !utf8.ValidString(r.Header) {
		t.Errorf("%q", r.Header)
	}
	for _, want := range []string{
		"HTTP/1.1 401 Unauthorized\n", "\nSet-Cookie: [secret]\n", "\nAuthorization: [secret]\n", "\nX-Auth-Token: [secret]\n", "\nX-Csrf: [secret]\n", "\nX-Echo: …\n",
		"\nLocation: https://example.com/a?…\n", "\nWww-Authenticate: Basic realm=\"hooks\"\n", "\nX-Odd: a byte \uFFFD\nX-Odd: again\n", "\nRetry-After: 120\n",
	} {
		if !strings.Contains(r.Header, want) {
			t.Errorf("%q is not in %q", want, r.Header)
		}
	}
}

func TestHeader_IsBounded(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("A-Long", strings.Repeat("ü", 5000))
		for i := range 300 {
			w.Header().Set(fmt.Sprintf("Many-%03d", i), "value")
		}
	})
	r := endpoint(t, Config{URL: s.URL}, open()).Send(t.Context(), sample())
	if n := utf8.RuneCountInString(r.Header); r.Class != Delivered || n > keepHeaderRunes || n < keepHeaderRunes/2 {
		t.Errorf("%d characters: %+v", n, r)
	}
	if !strings.HasPrefix(r.Header, "HTTP/1.1 200 OK\nA-Long: ü") || !strings.Contains(r.Header, "ü…\n") || !strings.Contains(r.Header, "Many-000: value\n") || !strings.HasSuffix(r.Header, ": value\n…\n") {
		t.Errorf("%q", r.Header)
	}
}
