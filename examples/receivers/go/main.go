// Command receiver is the smallest correct receiver in Go: verify, tell repeats, answer,
// then work.
//
//	WEBHOOK_SECRET=… go run .
package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// tolerance bounds a request's age: what is older was recorded and sent again.
const tolerance = 5 * time.Minute

type event struct {
	id   string
	Type string `json:"event_type"`
}

type receiver struct {
	key  []byte
	work chan event

	mu    sync.Mutex
	seen  map[string]bool
	order []string
}

func process(e event) { fmt.Println("processed", e.id, e.Type) }

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 2<<20))
	if err != nil {
		http.Error(w, "too long, or broken off", http.StatusBadRequest)
		return
	}
	if !r.verified(req.Header, body) {
		http.Error(w, "the signature does not match", http.StatusUnauthorized)
		return
	}
	e := event{id: req.Header.Get("webhook-id")}
	if err := json.Unmarshal(body, &e); err != nil {
		http.Error(w, "no event", http.StatusBadRequest)
		return
	}
	if !r.take(e) {
		http.Error(w, "busy", http.StatusServiceUnavailable) // it will come again
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// verified checks the Standard Webhooks signature: over id, time and body as they came;
// while a secret is changed, there is one with each.
func (r *receiver) verified(h http.Header, body []byte) bool {
	sent, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(sent, 0)).Abs() > tolerance {
		return false
	}
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%s.%d.%s", h.Get("webhook-id"), sent, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, given := range strings.Fields(h.Get("webhook-signature")) {
		if hmac.Equal([]byte(want), []byte(given)) {
			return true
		}
	}
	return false
}

// keyOf is what a secret signs with.
func keyOf(secret string) ([]byte, error) {
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		return base64.StdEncoding.DecodeString(encoded)
	}
	return []byte(secret), nil
}

// take hands an event on unless it was taken before, and is false where there is no room.
func (r *receiver) take(e event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[e.id] {
		return true
	}
	select {
	case r.work <- e:
	default:
		return false
	}
	r.seen[e.id] = true
	if r.order = append(r.order, e.id); len(r.order) > 10_000 {
		delete(r.seen, r.order[0])
		r.order = r.order[1:]
	}
	return true
}

func main() {
	key, err := keyOf(os.Getenv("WEBHOOK_SECRET"))
	if err != nil || len(key) == 0 {
		log.Fatal("WEBHOOK_SECRET is not set, or whsec_ and no base64")
	}
	r := &receiver{key: key, work: make(chan event, 1000), seen: map[string]bool{}}
	go func() {
		for e := range r.work {
			process(e)
		}
	}()
	mux := http.NewServeMux()
	mux.Handle("POST /hook", r)
	server := &http.Server{Addr: "127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "8080"), Handler: mux, ReadTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}
