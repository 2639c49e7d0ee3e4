package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/queue"
)

func TestRejected_DiscardsTheseAndNoOthers(t *testing.T) {
	s := serve(t) // with one
	for i := range 2 {
		b := queue.Batch{Source: "log", Rejected: []queue.Rejected{{Source: "log", Path: "log", Offset: int64(10 + i), Size: 3, At: time.Now(), Reason: "odd", Data: []byte("odd")}}}
		if _, err := s.queue.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (ids []string) {
		t.Helper()
		code, text := s.call("GET", "/api/v1/rejected", "")
		var page RejectedPage
		if err := json.Unmarshal([]byte(text), &page); err != nil || code != http.StatusOK {
			t.Fatal(code, text, err)
		}
		for i := range page.Rejected {
			ids = append(ids, page.Rejected[i].ID)
		}
		return ids
	}
	discard := func(body, want string) {
		t.Helper()
		if code, text := s.call("POST", "/api/v1/rejected/discard", body); code != http.StatusOK || text != want+"\n" {
			t.Errorf("%s: %d %s", body, code, text)
		}
	}
	ids := list()
	if len(ids) != 3 {
		t.Fatal(ids)
	}
	discard(fmt.Sprintf(`{"ids":[%q],"dry_run":true}`, ids[1]), `{"changed":1}`)
	discard(fmt.Sprintf(`{"ids":[%q]}`, ids[1]), `{"changed":1}`)
	if left := list(); len(left) != 2 || left[0] != ids[0] || left[1] != ids[2] {
		t.Errorf("left are %q of %q", left, ids)
	}
	if code, text := s.call("POST", "/api/v1/rejected/discard", fmt.Sprintf(`{"ids":[%q,%q]}`, ids[0], ids[1])); code != http.StatusNotFound || len(list()) != 2 {
		t.Errorf("one of them is gone already: %d %s", code, text)
	}
	discard(`{}`, `{"changed":2}`)
}
