package config

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean is the one rule for a secret, a URL or a token, whichever way it comes in: in
// agent.toml, in a file, in the environment. Line ends and a byte order mark around it are
// not part of it. What can only be a slip is an error, since it would quietly be another
// key: the error never repeats the text.
func Clean(text string) (string, error) {
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") || strings.ContainsRune(text, 0) {
		return "", errors.New("it is UTF-16; save it as UTF-8")
	}
	if !utf8.ValidString(text) {
		return "", errors.New("it is not UTF-8 text; encode random bytes first, for example with 'openssl rand -hex 32'")
	}
	text = strings.Trim(strings.TrimPrefix(text, "\ufeff"), "\r\n")
	switch first, last := around(text); {
	case text == "":
		return "", errors.New("it is empty")
	case unicode.IsSpace(first), unicode.IsSpace(last), invisible(first), invisible(last):
		return "", errors.New("it begins or ends with a space, which would count as part of it; remove the space")
	case strings.ContainsRune("\"'`", first) && first == last, first == '“' && last == '”', first == '‘' && last == '’':
		return "", errors.New("it is in quotes, which would count as part of it; remove them")
	case strings.ContainsFunc(text, unicode.IsControl):
		return "", errors.New("it has more than one line, or control characters")
	}
	return text, nil
}

// CleanSecret is Clean for what whsec_ or whsk_ may stand at the beginning of.
func CleanSecret(text string) (string, error) {
	text, err := Clean(text)
	if err == nil && (strings.LastIndex(text, "whsec_") > 0 || strings.LastIndex(text, "whsk_") > 0) {
		return "", errors.New("whsec_ or whsk_ must be at its beginning; remove what is before it, such as \"v1,\"")
	}
	return text, err
}

// cleanURL is Clean for what cannot begin or end in a blank, as a request sends it.
func cleanURL(text string) (string, error) { return Clean(strings.TrimSpace(text)) }

func around(text string) (first, last rune) {
	first, _ = utf8.DecodeRuneInString(text)
	last, _ = utf8.DecodeLastRuneInString(text)
	if len(text) < 2 {
		return first, 0
	}
	return first, last
}

func invisible(r rune) bool { return unicode.Is(unicode.Cf, r) }
