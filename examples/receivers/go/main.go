// Command receiver is the smallest correct receiver in Go: verify, tell repeats, answer,
// then work.
//
//	WEBHOOK_SECRET=… go run .
package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"time"
)

type event struct {
	id   string
	Type string `json:"event_type"`
}

type receiver struct {
	secret []byte
	work   chan event

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
	mac := hmac.New(sha256.New, r.secret)
	mac.Write(body) // as it came: the signature is over these bytes
	want := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	if !hmac.Equal([]byte(want), []byte(req.Header.Get("X-IntelliDocs-Signature"))) {
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
	r := &receiver{secret: []byte(os.Getenv("WEBHOOK_SECRET")), work: make(chan event, 1000), seen: map[string]bool{}}
	if len(r.secret) == 0 {
		log.Fatal("WEBHOOK_SECRET is not set")
	}
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
