package parser

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dawnsystem/intellidocs-agent/parser/pyjson"
)

var timeKeys = []string{"asctime", "timestamp", "time", "@timestamp", "ts", "created"}

// recordTime returns the time a JSON log record has, zero where it has none that can be
// read.
func recordTime(obj *pyjson.Object) time.Time {
	for _, key := range timeKeys {
		value := obj.Get(key)
		if text, ok := pyjson.Unquote(value); ok {
			if t := parseTime(string(text)); !t.IsZero() {
				return t
			}
		} else if t := unixTime(string(value)); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// unixTime reads seconds, milliseconds, microseconds or nanoseconds since 1970: loggers
// differ, and the powers of ten between them tell which it is until the year 5138.
func unixTime(number string) time.Time {
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(f > 0) || f >= 1e20 {
		return time.Time{}
	}
	for f >= 1e11 {
		f /= 1000
	}
	sec, frac := math.Modf(f)
	// A double holds today's seconds to the microsecond, and Python writes no more.
	return time.Unix(int64(sec), int64(math.Round(frac*1e6))*1000)
}

var timeLayouts = []string{
	"2006-01-02 15:04:05",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02 15:04:05Z0700",
	"2006-01-02 15:04:05 Z0700",
}

// parseTime reads RFC 3339 and Python's asctime, with a comma or a dot before the
// fraction. A time without a zone is taken to be in this machine's, as the two stand
// side by side.
func parseTime(s string) time.Time {
	s = strings.TrimSpace(s)
	if utc, ok := strings.CutSuffix(s, " UTC"); ok { // of the names of zones, the one that is everywhere the same
		s = utc + "Z"
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t
		}
	}
	return time.Time{}
}
