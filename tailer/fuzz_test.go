package tailer

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// What encoding/json takes, the splitter takes apart into the same values; and
// whatever it is given, it ends, and its values lie in the file in order.
func FuzzSplitter(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,{"b":"}]\""}]}`, `[1, "x" ,{}, [], null,-1.5e9,true]`, "\xef\xbb\xbf[]", ``, `[`, `[1,]`, `{]`,
		`"a\\"`, `"\"`, ` 1 `, `[[[]]]`, `[{"a":1}{"b":2}]`, `[,]`, "[\"\x00\"]", `nul`, `1 2`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frames, err := split(bytes.NewReader(b))
		again, err2 := split(iotest.OneByteReader(bytes.NewReader(b)))
		if len(frames) != len(again) || (err == nil) != (err2 == nil) {
			t.Fatalf("%d values and %v, a byte at a time %d and %v", len(frames), err, len(again), err2)
		}
		end := int64(0)
		for _, fr := range frames {
			if fr.off < end || fr.off+fr.size > int64(len(b)) || !bytes.Equal(b[fr.off:fr.off+fr.size], fr.data) {
				t.Fatalf("value at %d of %d bytes behind %d is %q", fr.off, fr.size, end, fr.data)
			}
			end = fr.off + fr.size
		}
		if !json.Valid(b) {
			return
		}
		if err != nil {
			t.Fatalf("good JSON is refused: %v", err)
		}
		var list []json.RawMessage
		if bytes.TrimLeft(b, " \t\r\n")[0] != '[' {
			list = []json.RawMessage{bytes.Trim(b, " \t\r\n")}
		} else if err := json.Unmarshal(b, &list); err != nil {
			t.Fatal(err)
		}
		if len(list) != len(frames) {
			t.Fatalf("%d values, want %d", len(frames), len(list))
		}
		for i := range list {
			if !bytes.Equal(list[i], bytes.TrimRight(frames[i].data, " \t\r\n")) {
				t.Fatalf("value %d is %q, want %q", i, frames[i].data, list[i])
			}
		}
	})
}

func split(r io.Reader) (frames []frame, err error) {
	s := newSplitter(r, DefaultMaxLine)
	for {
		f, err := s.next()
		if errors.Is(err, io.EOF) {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
		f.data = bytes.Clone(f.data)
		frames = append(frames, f)
	}
}

// A damaged cursor is an error, never a panic; a good one comes back as it was.
func FuzzCursor(f *testing.F) {
	f.Add([]byte(`{"v":1,"streams":[{"id":"a","off":5,"head":"x","len":5,"tail":"y","done":true}]}`))
	f.Add([]byte(`{"v":1,"streams":[{"id":"a","off":-5,"len":5000}]}`))
	f.Add([]byte(`{"v":1,"horizon":-1,"part":{"off":3,"size":5,"id":"x"},"done":[{"ino":1}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decodeSpoolCursor(b); err == nil {
			if _, err := NewSpool(SpoolOptions{Path: "/x", Cursor: b, Handler: (&store{}).handle}); err != nil && len(b) > 0 {
				t.Fatal(err)
			}
		}
		c, err := decodeCheckpoint(b, "/d")
		if err != nil {
			return
		}
		for _, s := range c.streams {
			s.matches(bytes.NewReader(b), int64(len(b)))
		}
		out, err := c.encode("/d")
		if err != nil {
			t.Fatal(err)
		}
		d, err := decodeCheckpoint(out, "/d")
		if err != nil {
			t.Fatalf("%s: %v", out, err)
		}
		again, err := d.encode("/d")
		if err != nil || !bytes.Equal(out, again) {
			t.Fatalf("%s became %s (%v)", out, again, err)
		}
	})
}
