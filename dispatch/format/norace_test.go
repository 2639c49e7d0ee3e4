//go:build !race

package format

const underRace = false
