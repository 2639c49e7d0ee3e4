package main

import (
	"fmt"
	"io"
)

// goal is what a figure must be, and should be, and whether it is.
type goal struct{ must, aim, met string }

// atLeast is the goal of a figure that should be high. An aim of 0 is none.
func atLeast(figure, must, aim float64) goal {
	return goal{fmt.Sprintf("≥ %g", must), aimed("≥", aim), met(figure >= must, aim != 0 && figure >= aim)}
}

// atMost is the goal of a figure that should be low.
func atMost(figure, must, aim float64) goal {
	return goal{fmt.Sprintf("≤ %g", must), aimed("≤", aim), met(figure <= must, aim != 0 && figure <= aim)}
}

func aimed(than string, aim float64) string {
	if aim == 0 {
		return ""
	}
	return fmt.Sprintf("%s %g", than, aim)
}

func met(must, aim bool) string {
	switch {
	case aim:
		return "aim"
	case must:
		return "yes"
	}
	return "no"
}

type row struct {
	what, got string
	goal
}

type table []row

func (t *table) add(what string, g goal, got string, args ...any) {
	*t = append(*t, row{what, fmt.Sprintf(got, args...), g})
}

func (t table) print(w io.Writer) {
	const form = "| %-76s | %-22s | %-6s | %-6s | %-3s |\n"
	fmt.Fprintf(w, form+"|---|---|---|---|---|\n", "", "measured", "must", "aim", "met")
	for _, r := range t {
		fmt.Fprintf(w, form, r.what, r.got, r.must, r.aim, r.met)
	}
}
