package parser

import "bytes"

// header is what IntelliDocs' verbose format puts in front of a message:
// `[asctime] [LEVEL] [logger] message`.
type header struct {
	time, logger, message []byte
	// from is where the header begins; what stands in front of it is complete brackets of
	// somebody else's, or, where torn, the beginning of a record that was never finished.
	from int
	torn bool
}

// maxBracket bounds, in bytes, what stands between two brackets: a time, a level, a
// logger's name.
const maxBracket = 200

// maxPrefix bounds how many brackets may stand in front of a header.
const maxPrefix = 4

// readHeader reads the header that a text begins with. Complete brackets may stand in front
// of it, as Celery and kubectl write them, and so may the beginning of a torn header:
// `[2025-11-14 15:0[2025-11-14 15:00:01,123] [INFO] [logger] …`.
func readHeader(text []byte) (h header, ok bool) {
	at, torn := 0, false
	for range maxPrefix {
		h, miss := headerAt(text, at)
		if miss == nil {
			h.from, h.torn = at, torn
			return h, true
		}
		if miss.next < 0 {
			break
		}
		at, torn = miss.next, torn || miss.torn
	}
	return header{}, false
}

// noHeader is where a header may begin instead, -1 for nowhere. torn: the bracket before
// that was never closed.
type noHeader struct {
	next int
	torn bool
}

var nowhere = &noHeader{next: -1}

// headerAt reads the header at at.
func headerAt(text []byte, at int) (h header, miss *noHeader) {
	var parts [3][]byte
	for i := range parts {
		for i > 0 && at < len(text) && text[at] == ' ' {
			at++
		}
		if at >= len(text) || text[at] != '[' {
			return h, nowhere
		}
		inside := text[at+1 : min(len(text), at+maxBracket)]
		end := bytes.IndexByte(inside, ']')
		again := bytes.IndexByte(inside, '[')
		switch {
		case again >= 0 && (end < 0 || again < end):
			return h, &noHeader{next: at + 1 + again, torn: true}
		case end < 0:
			return h, nowhere
		}
		parts[i] = bytes.TrimSpace(inside[:end])
		if i == 1 && !isLevel(parts[1]) || i == 2 && !isLogger(parts[2]) {
			return h, &noHeader{next: at}
		}
		at += end + 2
	}
	return header{time: parts[0], logger: parts[2], message: text[at:]}, nil
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

// nextHeader returns the first dated header in text that begins at from or later and before
// to.
func nextHeader(text []byte, from, to int) (h header, ok bool) {
	for from < to {
		i := bytes.IndexByte(text[from:to], '[')
		if i < 0 {
			return h, false
		}
		from += i
		if h, miss := headerAt(text, from); miss == nil && h.dated() {
			h.from = from
			return h, true
		}
		from++
	}
	return header{}, false
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
// where that is likely and no more.
func foreignHeader(text []byte) (h header, who owner, ok bool) {
	i := bytes.Index(text, []byte(quotedLogger))
	if i < 0 {
		return h, unknown, false
	}
	h.logger, h.message = []byte(Logger), text[i+len(quotedLogger):]
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
			return h, others, true
		}
		if level = knownLevels[string(bytes.ToUpper(inside))]; !level && len(inside) > 0 && inside[0] >= '0' && inside[0] <= '9' {
			h.time = inside
		}
		rest = rest[from+end+1:]
	}
	if bytes.Contains(text[:i], []byte("paperless.")) {
		return h, unknown, true
	}
	return h, ours, true
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
