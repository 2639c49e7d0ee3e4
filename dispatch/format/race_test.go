//go:build race

package format

// underRace: the race detector, under which rendering takes twelve times as long, is on. It has
// nothing to find where one goroutine renders; a part of what is tried is enough there.
const underRace = true
