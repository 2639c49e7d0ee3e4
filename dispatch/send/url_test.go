package send

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

// What stands in the request line is the URL, with nothing changed but what it may not hold.
func TestURL_IsRequestedAsItWasWritten(t *testing.T) {
	for path, want := range map[string]string{
		"/hook":                   "/hook",
		"":                        "/",
		"?x=1":                    "/?x=1",
		"/a b?c=d e":              "/a%20b?c=d%20e",
		"/ü?q=Grüße&k=日":          "/%C3%BC?q=Gr%C3%BC%C3%9Fe&k=%E6%97%A5",
		"/a{b}|c?d={e}|f^`\"<>\\": "/a{b}|c?d={e}|f^`\"<>\\",
		"/%7Ba%7d%2Fb?c=%20%zz+d": "/%7Ba%7d%2Fb?c=%20%zz+d",
		"/a+b;c=1,2'(!)*@:$&[x]":  "/a+b;c=1,2'(!)*@:$&[x]",
		"/../a//b/./":             "/../a//b/./",
		"/{a b}":                  "/{a%20b}",
	} {
		line := make(chan string, 1)
		url := raw(t, func(c net.Conn, head []string, _ *bufio.Reader) {
			line <- head[0]
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		})
		if r := endpoint(t, Config{URL: url + path}, open()).Send(t.Context(), sample()); r.Class != Delivered {
			t.Fatalf("%s: %+v", path, r)
		}
		if got := <-line; strings.TrimSpace(got) != "POST "+want+" HTTP/1.1" {
			t.Errorf("%s is requested by %q", path, got)
		}
	}
}

func TestURL_OnlyWhatItMayNotHoldIsEncoded(t *testing.T) {
	for text, want := range map[string]string{
		"https://us er:pä@münchen.example/ä": "https://us%20er:p%C3%A4@xn--mnchen-3ya.example/%C3%A4",
		"https://example.org":                "https://example.org",
		"https://example.org/a\x7f?b c":      "https://example.org/a\x7f?b%20c",
		"nonsense ü":                         "nonsense ü",
	} {
		if got := encodeURL(text); got != want {
			t.Errorf("%s becomes %s", text, got)
		}
	}
	if got := asciiHost("münchen.example"); got != "xn--mnchen-3ya.example" {
		t.Errorf("it is resolved as %s", got)
	}
}
