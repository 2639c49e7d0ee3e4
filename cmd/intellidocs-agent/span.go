package main

import (
	"fmt"
	"strconv"
	"time"
)

// span is a flag's length of time: a Go duration or, as in agent.toml, a bare number of
// seconds.
type span time.Duration

func (s *span) Type() string { return "duration" }

func (s *span) String() string {
	if *s == 0 {
		return "0" // which --help takes for no default worth telling
	}
	return time.Duration(*s).String()
}

func (s *span) Set(text string) error {
	if _, err := strconv.ParseUint(text, 10, 64); err == nil {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is no span of time such as 10s, or a number of seconds", text)
	}
	*s = span(d)
	return nil
}
