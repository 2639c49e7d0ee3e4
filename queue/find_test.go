package queue

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFind_TakesAnyBeginningAndShortIDs(t *testing.T) {
	q := open(t, Options{})
	for n := range 3 {
		commit(t, q, Batch{
			Source: "log", Events: []NewEvent{event(0x10*(n+1), "a", "b")},
			Rejected: []Rejected{{Source: "log", Path: "/log", Offset: int64(n), At: time.Now(), Reason: "odd", Data: []byte("x")}},
		})
	}
	page, err := q.List(t.Context(), Filter{})
	if err != nil || len(page.Deliveries) != 6 {
		t.Fatal(err, page)
	}
	find := func(typed string) []string {
		t.Helper()
		ids, err := q.Find(t.Context(), typed, 10)
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	for _, d := range page.Deliveries {
		short := ShortID(d.ID)
		if len(short) > 9 || !slices.Equal(find(short), []string{d.ID}) {
			t.Errorf("%s finds %v, want %s", short, find(short), d.ID)
		}
		if !slices.Equal(find(d.ID), []string{d.ID}) {
			t.Errorf("%s does not find itself", d.ID)
		}
		// What it shares with its event's other delivery names both.
		both := find(d.ID[:len(d.ID)-1])
		if len(both) != 2 || !slices.Contains(both, d.ID) {
			t.Errorf("%s… finds %v", d.ID[:len(d.ID)-1], both)
		}
		if ids := find(d.EventID); !slices.Equal(ids, []string{d.EventID}) {
			t.Errorf("%s finds %v", d.EventID, ids)
		}
	}
	if ids := find("dlv_"); len(ids) != 6 || !slices.Contains(ids, page.Deliveries[0].ID) {
		t.Errorf("dlv_ finds %v", ids)
	}
	if ids := find("evt_" + strings.Repeat("0", 30)); len(ids) != 3 {
		t.Errorf("the beginning of three events finds %v", ids)
	}
	if ids := find("evt_" + strings.Repeat("0", 30) + "2"); !slices.Equal(ids, []string{"evt_" + strings.Repeat("0", 30) + "20"}) {
		t.Errorf("the beginning of one event finds %v", ids)
	}
	rejected, _, err := q.Rejected(t.Context(), RejectedFilter{Limit: 10})
	if err != nil || len(rejected) != 3 {
		t.Fatal(err, rejected)
	}
	if ids := find(rejected[1].ID[:len(rejected[1].ID)]); !slices.Equal(ids, []string{rejected[1].ID}) {
		t.Errorf("%s finds %v", rejected[1].ID, ids)
	}
	if ids := find("rej_"); len(ids) != 3 {
		t.Errorf("rej_ finds %v", ids)
	}
	for _, typed := range []string{"", "x", "evt_f", "dlv_zz", "rej_zz", "0000000.0", page.Deliveries[0].ID + "0", ShortID(page.Deliveries[0].ID) + "7", "."} {
		if ids := find(typed); len(ids) != 0 {
			t.Errorf("%q finds %v", typed, ids)
		}
	}
	if s := ShortID("evt_1"); s != "evt_1" {
		t.Errorf("what is no delivery's ID became %s", s)
	}
}
