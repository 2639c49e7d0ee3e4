package send

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// retryAfter is when a refusal asked to be tried again, zero where it did not say: by
// Retry-After (RFC 9110, 10.2.3; some send fractions of seconds), by Discord's and
// Telegram's member retry_after, which is more exact, or by a quota that is used up.
func retryAfter(header http.Header, body string, q Quota, now time.Time) time.Time {
	told, byHeader := delay(header.Get("Retry-After"), header.Get("Date"), now)
	if d, ok := bodyDelay(body); ok && (!byHeader || d <= told) {
		told, byHeader = d, true
	}
	switch {
	case byHeader:
		return now.Add(told)
	case q.Known && q.Remaining == 0:
		return q.Resets
	}
	return time.Time{}
}

// delay reads a Retry-After. A date is compared with the answer's own: the two clocks need
// not agree.
func delay(value, date string, now time.Time) (time.Duration, bool) {
	value = strings.TrimSpace(value)
	if s, err := strconv.ParseFloat(value, 64); err == nil {
		return seconds(s)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if sent, err := http.ParseTime(date); err == nil {
		now = sent
	}
	return max(0, at.Sub(now)), true
}

func bodyDelay(body string) (time.Duration, bool) {
	var b struct {
		RetryAfter *float64 `json:"retry_after"`
		Parameters struct {
			RetryAfter *float64 `json:"retry_after"`
		} `json:"parameters"`
	}
	if !strings.HasPrefix(strings.TrimSpace(body), "{") || json.Unmarshal([]byte(body), &b) != nil {
		return 0, false
	}
	for _, s := range []*float64{b.RetryAfter, b.Parameters.RetryAfter} {
		if s != nil {
			return seconds(*s)
		}
	}
	return 0, false
}

// year bounds what is told, to stay within a Duration.
const year = 365 * 24 * time.Hour

func seconds(s float64) (time.Duration, bool) {
	if math.IsNaN(s) || s < 0 {
		return 0, false
	}
	return time.Duration(min(s*float64(time.Second), float64(year))), true
}

// quota reads what an answer says of how much the endpoint takes: Discord's X-RateLimit-…
// (https://discord.com/developers/docs/topics/rate-limits), which others share, and the
// RateLimit header of the IETF's draft in its three forms
// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/).
func quota(header http.Header, now time.Time) Quota {
	if !limits(header) {
		return Quota{}
	}
	if q := structured(header.Values("RateLimit"), now); q.Known {
		return q
	}
	for _, prefix := range []string{"X-RateLimit-", "RateLimit-", "X-Rate-Limit-"} {
		left, err := strconv.ParseFloat(strings.TrimSpace(header.Get(prefix+"Remaining")), 64)
		if err != nil || left < 0 {
			continue
		}
		for _, name := range []string{"Reset-After", "Reset"} {
			if s, err := strconv.ParseFloat(strings.TrimSpace(header.Get(prefix+name)), 64); err == nil {
				return known(left, s, now)
			}
		}
	}
	return Quota{}
}

// limits reports whether any header may be about limits, which most answers have none of.
func limits(header http.Header) bool {
	for name := range header {
		if strings.Contains(name, "imit") {
			return true
		}
	}
	return false
}

// structured reads `"default";r=0;t=5` and the draft's older `limit=10, remaining=0, reset=5`;
// of several policies the one that leaves least counts.
func structured(values []string, now time.Time) Quota {
	var least Quota
	members := map[string]float64{}
	take := func() {
		left, haveLeft := members["remaining"]
		reset, haveReset := members["reset"]
		if haveLeft && haveReset {
			if q := known(left, reset, now); q.Known && (!least.Known || q.Remaining < least.Remaining) {
				least = q
			}
		}
	}
	for item := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if strings.Contains(item, ";") {
			clear(members)
		}
		for part := range strings.SplitSeq(item, ";") {
			name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
			n, err := strconv.ParseFloat(value, 64)
			if !ok || err != nil || n < 0 {
				continue
			}
			switch strings.ToLower(name) {
			case "r", "remaining":
				members["remaining"] = n
			case "t", "reset":
				members["reset"] = n
			}
		}
		take()
	}
	return least
}

// known is a quota that resets in so many seconds; a number too large for that is a moment
// since 1970, in seconds or milliseconds.
func known(left, reset float64, now time.Time) Quota {
	if math.IsNaN(reset) || reset < 0 || reset > 1e14 {
		return Quota{}
	}
	at := now.Add(time.Duration(min(reset, 1e9) * float64(time.Second)))
	switch {
	case reset > 1e11:
		at = time.UnixMilli(int64(reset))
	case reset > 1e8:
		at = time.Unix(0, int64(reset*1e9))
	}
	return Quota{Known: true, Remaining: int(min(left, 1e9)), Resets: at}
}

// teamsThrottled reports whether a 2xx is an Office 365 connector's refusal. It answers 200
// with the status that Teams gave it in the text: "Webhook message delivery failed with
// error: Microsoft Teams endpoint returned HTTP error 429 with ContextId …"
// (https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using).
func teamsThrottled(body string) bool {
	text := strings.ToLower(strings.Join(strings.Fields(body[:min(len(body), 400)]), " "))
	before, rest, failed := strings.Cut(text, "failed with error")
	_, code, named := strings.Cut(rest, "429")
	// At the text's beginning alone: an answer may echo a document's title.
	return failed && named && (before == "" || before == "webhook message delivery ") && (code == "" || code[0] < '0' || code[0] > '9')
}
