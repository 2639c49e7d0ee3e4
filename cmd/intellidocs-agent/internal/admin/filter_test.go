package admin

import (
	"strings"
	"testing"
	"time"
)

func TestWhen_ReadsTimesDaysAndSpans(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "2026-01-31T01:02:03+01:00": time.Date(2026, 1, 31, 0, 2, 3, 0, time.UTC),
		"2026-01-30": time.Date(2026, 1, 30, 0, 0, 0, 0, time.Local), "2026-01-30T15:04": time.Date(2026, 1, 30, 15, 4, 0, 0, time.Local),
		"2026-01-30 15:04:05": time.Date(2026, 1, 30, 15, 4, 5, 0, time.Local),
		"90m":                 now.Add(-90 * time.Minute), "7d": now.AddDate(0, 0, -7), "0s": now,
	} {
		if got, err := When(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %s %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "5", "-5h", "-1d", "d", "999999d", "2026-02-30", "15:04"} {
		if got, err := When(text, now); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %s %v", text, got, err)
		}
	}
}
