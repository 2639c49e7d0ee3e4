package dispatch

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
)

// That a webhook waits for long because its endpoint asked for it is told, however that came
// about, until when, and that it is over.
func TestNotice_ALongWaitIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		waits  []time.Duration // what the endpoint asks for, one after another, the last for ever
		within time.Duration   // when people know of it; 0: never
		least  time.Duration   // how far off the next try is then
	}{
		{"ten minutes", []time.Duration{10*time.Minute - time.Second}, time.Second, 9 * time.Minute},
		{"an hour", []time.Duration{time.Hour}, time.Second, 59 * time.Minute},
		{"an hour, after a second", []time.Duration{time.Second, time.Hour}, 5 * time.Second, 59 * time.Minute},
		{"an hour, after nine minutes", []time.Duration{9 * time.Minute, time.Hour}, 10 * time.Minute, 50 * time.Minute},
		{"a minute, again and again", []time.Duration{time.Minute}, 12 * time.Minute, 0},
		{"a minute", []time.Duration{time.Minute}, 0, 0},
	} {
		for _, restarted := range []bool{false, true} {
			name := c.name
			if restarted {
				name += ", and a restart"
			}
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					began, n := time.Now(), 0
					e := &endpoint{}
					e.answer = func(context.Context, send.Message) send.Result {
						n++
						return refusal(429, c.waits[min(n, len(c.waits))-1])
					}
					store, h := newModelStore(), hook("a", e)
					h.Concurrency = 1
					b := newBench(t, store, h)
					b.queue("a", 3)
					if c.within == 0 {
						after(time.Second)
						e.set(delivered)
						after(5 * time.Minute)
						if kinds, _ := b.told(); len(kinds) > 0 {
							t.Errorf("told of a short one: %v", kinds)
						}
						b.end()
						return
					}
					after(c.within)
					kinds, said := b.told()
					if !slices.Equal(kinds, []Kind{NoticeHeld}) || said.Reason != "HTTP 429" || said.Since.Sub(began) > time.Second {
						t.Fatalf("after %s: %v, %+v", c.within, kinds, said)
					}
					if s := b.stateOf(t, "a"); s.State != Held || c.least > 0 && (!said.NextProbe.Equal(s.NextProbe) || time.Until(said.NextProbe) < c.least) {
						t.Errorf("it says %s, and is tried at %s: %+v", said.NextProbe, s.NextProbe, s)
					}
					if !strings.Contains(b.log.String(), said.NextProbe.UTC().Format(time.RFC3339)) {
						t.Errorf("the log does not say until when:\n%s", b.log)
					}
					if restarted {
						b.end()
						b = newBench(t, store, h)
					}
					e.set(delivered)
					after(2 * time.Hour)
					kinds, said = b.told()
					if !slices.Equal(kinds[max(0, len(kinds)-1):], []Kind{NoticeRecovered}) || said.Since.Sub(began) > time.Second {
						t.Errorf("in the end: %v, %+v", kinds, said)
					}
					if !strings.Contains(b.log.String(), "webhook recovered") {
						t.Errorf("the log does not say that it is over:\n%s", b.log)
					}
					b.end()
				})
			})
		}
	}
}
