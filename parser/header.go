package parser

import "bytes"

// header is what IntelliDocs' verbose format puts in front of a message:
// `[asctime] [LEVEL] [logger] message`.
type header struct{ time, logger, message []byte }

// maxBracket bounds, in bytes, what stands between two brackets: a time, a level, a
// logger's name.
const maxBracket = 200

// maxPrefix bounds how many brackets may stand in front of a header.
const maxPrefix = 4

// readHeader reads the header that a text begins with. Complete brackets may stand in front
// of it, as Celery and kubectl write them, and so may the beginning of a torn header:
// `[2025-11-14 15:0[2025-11-14 15:00:01,123] [INFO] [logger] …`.
func readHeader(text []byte) (h header, ok bool) {
	for at, tries := 0, 0; at >= 0 && tries < maxPrefix; tries++ {
		if h, at, ok = headerAt(text, at); ok {
			return h, true
		}
	}
	return header{}, false
}

// headerAt reads the header at at. Where there is none, next is where one may begin instead,
// -1 for nowhere.
func headerAt(text []byte, at int) (h header, next int, ok bool) {
	var parts [3][]byte
	for i := range parts {
		for i > 0 && at < len(text) && text[at] == ' ' {
			at++
		}
		if at >= len(text) || text[at] != '[' {
			return h, -1, false
		}
		inside := text[at+1 : min(len(text), at+maxBracket)]
		end := bytes.IndexByte(inside, ']')
		again := bytes.IndexByte(inside, '[')
		switch {
		case again >= 0 && (end < 0 || again < end):
			return h, at + 1 + again, false // the bracket before it was never closed
		case end < 0:
			return h, -1, false
		}
		parts[i] = bytes.TrimSpace(inside[:end])
		if i == 1 && !isLevel(parts[1]) || i == 2 && !isLogger(parts[2]) {
			return h, at, false
		}
		at += end + 2
	}
	return header{time: parts[0], logger: parts[2], message: text[at:]}, -1, true
}

func isLevel(s []byte) bool { return isWord(s, " _") }

func isLogger(s []byte) bool { return isWord(s, "._-<>$:/") }

// isWord reports whether s is a letter or '_' and then letters, digits and some others.
func isWord(s []byte, others string) bool {
	for i, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
		if !letter && (i == 0 || (c < '0' || c > '9') && bytes.IndexByte([]byte(others), c) < 0) {
			return false
		}
	}
	return len(s) > 0
}

// dated reports whether a header begins with a time, as IntelliDocs' do.
func (h *header) dated() bool { return len(h.time) >= 8 && h.time[0] >= '0' && h.time[0] <= '9' }

func (h *header) ours() bool { return string(h.logger) == Logger }

// nextHeader returns where the first dated header in text begins, at from or later and
// before to; -1 where there is none.
func nextHeader(text []byte, from, to int) int {
	for from < to {
		i := bytes.IndexByte(text[from:to], '[')
		if i < 0 {
			return -1
		}
		from += i
		if h, _, ok := headerAt(text, from); ok && h.dated() {
			return from
		}
		from++
	}
	return -1
}

// quotedLogger is our logger's name as every way to write the verbose format has it. The
// blank makes it less likely that prose is taken for it.
const quotedLogger = "[" + Logger + "] "

// owner is whose record a text is.
type owner uint8

const (
	unknown owner = iota
	ours
	others
)

// foreignHeader finds our logger's name in a text of no known form, such as what syslog,
// `docker compose logs` or a terminal's colours make of the verbose format. A logger named
// before it is the record's: ours is then part of that one's message. The owner is unknown
// where ours is not named, or another only seems to be.
func foreignHeader(text []byte) (h header, who owner) {
	i := bytes.Index(text, []byte(quotedLogger))
	if i < 0 {
		return h, unknown
	}
	h.message = text[i+len(quotedLogger):]
	level := false
	for rest := text[:i]; ; {
		from := bytes.IndexByte(rest, '[')
		if from < 0 {
			break
		}
		end := bytes.IndexByte(rest[from:], ']')
		if end < 0 {
			break
		}
		inside := bytes.TrimSpace(rest[from+1 : from+end])
		if level && isLogger(inside) {
			return h, others
		}
		if level = knownLevels[string(bytes.ToUpper(inside))]; !level && len(inside) > 0 && inside[0] >= '0' && inside[0] <= '9' {
			h.time = inside
		}
		rest = rest[from+end+1:]
	}
	if bytes.Contains(text[:i], []byte("paperless.")) {
		return h, unknown
	}
	return h, ours
}

var knownLevels = map[string]bool{
	"NOTSET": true, "TRACE": true, "DEBUG": true, "INFO": true, "SUCCESS": true, "NOTICE": true,
	"WARN": true, "WARNING": true, "ERROR": true, "CRITICAL": true, "FATAL": true,
}

// uncolored takes a terminal's colour codes out of a text.
func uncolored(text []byte) []byte {
	if !bytes.Contains(text, []byte("\x1b[")) {
		return text
	}
	out := make([]byte, 0, len(text))
	for {
		i := bytes.Index(text, []byte("\x1b["))
		if i < 0 {
			return append(out, text...)
		}
		out = append(out, text[:i]...)
		text = text[i+2:]
		for len(text) > 0 && text[0] >= ' ' && text[0] < '@' {
			text = text[1:]
		}
		if len(text) > 0 {
			text = text[1:]
		}
	}
}
