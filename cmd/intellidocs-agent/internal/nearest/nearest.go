// Package nearest guesses which word somebody meant who mistyped it.
package nearest

import "strings"

// Word returns the word that was probably meant, in whatever case, "" where none is near.
func Word(word string, words []string) string {
	best, distance := "", 3
	for _, w := range words {
		if d := distanceOf(strings.ToLower(word), strings.ToLower(w)); d < distance && d < len(w) {
			best, distance = w, d
		}
	}
	return best
}

// distanceOf counts the edits that make one word the other (Levenshtein).
func distanceOf(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
