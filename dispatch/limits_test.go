package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dawnsystem/intellidocs-agent/dispatch/send"
	"github.com/dawnsystem/intellidocs-agent/internal/race"
	"github.com/dawnsystem/intellidocs-agent/queue"
)

// limit is a rule by which a receiver takes requests or refuses them.
type limit interface {
	// take reports, of a request that comes now, how long before it would have been taken;
	// zero: it was.
	take(now time.Time) time.Duration
}

// bucket holds so many tokens and gains rate a second: nginx' limit_req with a burst and
// nodelay, API gateways. Of one token alone it is nginx' limit_req as it comes: none may
// follow the one before too soon.
type bucket struct {
	rate float64
	size float64
	used float64
	at   time.Time
}

func (b *bucket) take(now time.Time) time.Duration {
	b.used = max(0, b.used-b.rate*now.Sub(b.at).Seconds())
	b.at = now
	if over := b.used + 1 - b.size; over > 1e-6 {
		return time.Duration(over/b.rate*float64(time.Second)) + 1
	}
	b.used++
	return 0
}

// fixed takes so many in each window, which begins with its first request, or by the clock.
type fixed struct {
	most   int
	window time.Duration
	clock  bool
	began  time.Time
	taken  int
}

func (f *fixed) take(now time.Time) time.Duration {
	if now.Sub(f.began) >= f.window {
		f.began, f.taken = now, 0
		if f.clock {
			f.began = now.Truncate(f.window)
		}
	}
	if f.taken >= f.most {
		return f.began.Add(f.window).Sub(now)
	}
	f.taken++
	return 0
}

// sliding takes so many within any such time.
type sliding struct {
	most   int
	window time.Duration
	taken  []time.Time
}

func (s *sliding) take(now time.Time) time.Duration {
	for len(s.taken) > 0 && now.Sub(s.taken[0]) >= s.window {
		s.taken = s.taken[1:]
	}
	if len(s.taken) >= s.most {
		return s.taken[0].Add(s.window).Sub(now)
	}
	s.taken = append(s.taken, now)
	return 0
}

// counting is haproxy's http_req_rate: what it refused counts too, and of the window before
// the part that is not over.
type counting struct {
	most         int
	window       time.Duration
	began        time.Time
	this, before int
}

func (c *counting) take(now time.Time) time.Duration {
	switch past := now.Sub(c.began); {
	case past >= 2*c.window:
		c.began, c.this, c.before = now, 0, 0
	case past >= c.window:
		c.began, c.this, c.before = c.began.Add(c.window), 0, c.this
	}
	c.this++
	left := 1 - float64(now.Sub(c.began))/float64(c.window)
	if float64(c.this)+left*float64(c.before) > float64(c.most)+1e-9 {
		return c.window / time.Duration(c.most)
	}
	return 0
}

// both are two limits of one receiver.
type both struct{ a, b *fixed }

func (l both) take(now time.Time) time.Duration {
	a, b := *l.a, *l.b
	wait := max(a.take(now), b.take(now))
	if wait == 0 {
		*l.a, *l.b = a, b
	}
	return wait
}

// What a refusal says of when to come again.
type saying int

const (
	nothing saying = iota
	exactly
	inSeconds // whole ones, rounded up
	oneSecond // always
)

func (s saying) String() string {
	return [...]string{"nothing", "the moment", "in whole seconds", "always one second"}[s]
}

// limited is a receiver with a limit, over a way that takes some milliseconds, never the same.
type limited struct {
	limit  limit
	says   saying
	quota  bool // it says with each answer what is left
	status int  // of a refusal; 0: 429

	mu    sync.Mutex
	rand  *rand.Rand
	tried int
	taken int
	last  time.Time
}

func (l *limited) travel() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Millisecond + time.Duration(l.rand.ExpFloat64()*float64(time.Millisecond/2))
}

func (l *limited) Send(ctx context.Context, _ send.Message) send.Result {
	began := time.Now()
	sleep(ctx, l.travel())
	if ctx.Err() != nil {
		return send.Result{Class: send.Stopped}
	}
	r := l.answer(time.Now())
	sleep(ctx, l.travel())
	r.At, r.Took = began, time.Since(began)
	return r
}

func (l *limited) answer(now time.Time) send.Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried++
	wait := l.limit.take(now)
	if wait > 0 {
		r := send.Result{Class: send.Throttled, Status: cmp.Or(l.status, 429), Error: "too many requests"}
		switch l.says {
		case exactly:
			r.RetryAfter = now.Add(wait)
		case inSeconds:
			r.RetryAfter = now.Add((wait + time.Second - 1).Truncate(time.Second))
		case oneSecond:
			r.RetryAfter = now.Add(time.Second)
		}
		return r
	}
	l.taken, l.last = l.taken+1, now
	r := send.Result{Class: send.Delivered, Status: 200}
	if windows, ok := l.limit.(both); ok && l.quota {
		for _, f := range []*fixed{windows.a, windows.b} {
			if left := f.most - f.taken; !r.Quota.Known || left < r.Quota.Remaining {
				r.Quota = send.Quota{Known: true, Remaining: left, Resets: f.began.Add(f.window)}
			}
		}
	}
	return r
}

// allows is how long a limit makes n requests take that come as early as they may.
func allows(l limit, n int) time.Duration {
	if c, ok := l.(*counting); ok {
		// To try would count. The request itself counts beside the whole window before it.
		return time.Duration(n-c.most) * c.window / time.Duration(c.most-1)
	}
	began := time.Now()
	for at := began; ; {
		if wait := l.take(at); wait > 0 {
			at = at.Add(wait)
		} else if n--; n == 0 {
			return at.Sub(began)
		}
	}
}

func (l limitCase) String() string { return l.name + ", saying " + l.says.String() }

type limitCase struct {
	name  string
	limit func() limit
	says  saying
	delay time.Duration // retry_delay, where a refusal does not say
	n     int
	quota bool
}

const second, minute = time.Second, time.Minute

func limitCases() []limitCase {
	leaky := func(rate float64) func() limit { return func() limit { return &bucket{rate: rate, size: 1} } }
	tokens := func(rate, size float64) func() limit { return func() limit { return &bucket{rate: rate, size: size} } }
	window := func(most int, length time.Duration, clock bool) func() limit {
		return func() limit { return &fixed{most: most, window: length, clock: clock} }
	}
	discord := func() limit { return both{&fixed{most: 5, window: 2 * second}, &fixed{most: 30, window: minute}} }
	return []limitCase{
		{name: "nginx, 10 a second", limit: leaky(10), delay: second, n: 300},
		{name: "nginx, 10 a second", limit: leaky(10), says: oneSecond, n: 300},
		{name: "nginx, 1 a second", limit: leaky(1), delay: second, n: 100},
		{name: "nginx, 30 a minute", limit: leaky(0.5), delay: second, n: 100},
		{name: "nginx, 10 a second, burst=5", limit: tokens(10, 6), delay: second, n: 300},
		{name: "nginx, 10 a second, burst=20", limit: tokens(10, 21), says: oneSecond, n: 300},
		{name: "a token bucket, 20 a second of 20", limit: tokens(20, 20), delay: second, n: 600},
		{name: "a token bucket, 1 a second of 10", limit: tokens(1, 10), delay: 10 * second, n: 300},
		{name: "a token bucket, 50 a second of 100", limit: tokens(50, 100), delay: second, n: 600},
		{name: "haproxy, 10 in a second", limit: func() limit { return &counting{most: 10, window: second} }, delay: second, n: 500},
		{name: "a window, 1 in a second", limit: window(1, second, false), delay: second, n: 100},
		{name: "a window, 10 in a second", limit: window(10, second, false), delay: second, n: 300},
		{name: "a window, 10 in a second", limit: window(10, second, true), says: inSeconds, n: 300},
		{name: "a window, 50 in a second", limit: window(50, second, true), says: inSeconds, n: 900},
		{name: "a window, 30 in a minute", limit: window(30, minute, false), delay: second, n: 200},
		{name: "a window, 30 in a minute", limit: window(30, minute, true), delay: minute, n: 900},
		{name: "a window, 30 in a minute", limit: window(30, minute, true), says: exactly, n: 200},
		{name: "a sliding window, 10 in a second", limit: func() limit { return &sliding{most: 10, window: second} }, says: inSeconds, n: 300},
		{name: "Slack, 1 a second", limit: window(1, second, false), says: inSeconds, n: 300},
		{name: "Teams, 4 a second", limit: window(4, second, true), delay: second, n: 200},
		{name: "Telegram, 20 a minute", limit: window(20, minute, false), says: inSeconds, n: 100},
		{name: "Discord, 5 in 2 seconds and 30 a minute", limit: discord, says: exactly, n: 300, quota: true},
		{name: "Discord without its headers", limit: discord, says: exactly, n: 300},
		{name: "Discord without a word", limit: discord, delay: second, n: 300},
	}
}

// Receivers by their limits, which nobody has told the agent: everything arrives within 1.3
// times what the limit allows, however little a refusal says, and uses up nothing. To learn
// a limit takes some refusals: there are so many events that what they cost is little beside it.
func TestLimits_EverythingArrivesWithinWhatTheyAllow(t *testing.T) {
	var table strings.Builder
	for _, c := range race.Part(limitCases(), 3) {
		t.Run(c.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := &limited{limit: c.limit(), says: c.says, quota: c.quota, rand: rand.New(rand.NewPCG(1, 2))}
				h := hook("a", r)
				h.BreakerFailures, h.RetryDelay = 20, cmp.Or(c.delay, minute)
				allowed := allows(c.limit(), c.n)
				b := newBench(t, newModelStore(), h)
				defer b.end()
				began := time.Now()
				b.queue("a", c.n)
				after(2 * allowed)
				took, delivered := r.last.Sub(began), b.store.count(queue.Success)
				ratio := took.Seconds() / allowed.Seconds()
				fmt.Fprintf(&table, "%-65s %4d of %4d in %4d attempts, %6.1fs of %6.1fs: %.2f\n", c, delivered, c.n, r.tried, took.Seconds(), allowed.Seconds(), ratio)
				if delivered != c.n || ratio > 1.3 {
					t.Errorf("%d of %d delivered in %d attempts, in %s; the limit allows %s (%.2f)", delivered, c.n, r.tried, took, allowed, ratio)
				}
				for _, o := range b.store.recorded {
					if o.Status != queue.Success && !o.Free {
						t.Fatalf("an attempt was used up: %+v", o)
					}
				}
				if log := b.log.String(); strings.Contains(log, "its endpoint is down") || strings.Count(log, "accepts no more") > 2 {
					t.Errorf("logged: %s", log)
				}
			})
		})
	}
	t.Log("\n" + table.String())
}

// Attempts that are spaced out do not wait for one that hangs.
func TestLimits_AnAnswerThatDoesNotComeHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := &limited{limit: &bucket{rate: 10, size: 1}, rand: rand.New(rand.NewPCG(1, 2))}
		h := hook("a", senderFunc(func(ctx context.Context, m send.Message) send.Result {
			if m.DeliveryID == "dlv_050" {
				sleep(ctx, time.Hour)
				return serverError
			}
			return r.Send(ctx, m)
		}))
		h.RetryDelay = time.Second
		b := newBench(t, newModelStore(), h)
		defer b.end()
		b.queue("a", 200)
		after(minute)
		if n := b.store.count(queue.Success); n != 199 {
			t.Errorf("%d of 199 delivered beside the one that hangs", n)
		}
	})
}
