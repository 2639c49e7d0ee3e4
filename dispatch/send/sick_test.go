package send

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The receivers below are ill. Their attempts must end within the timeout, and say why.
func TestSend_SickReceivers(t *testing.T) {
	for _, c := range []struct {
		name   string
		handle func(c net.Conn, body *bufio.Reader)
		class  Class
		status int
		text   string // in the error
	}{
		{"a byte now and then", drip, Retry, 200, "timed out after 500ms while reading the response"},
		{"a byte of the header now and then", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
			dripTo(c)
		}, Retry, 0, "timed out after 500ms while"},
		{"endless headers", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			endless(c, "X-A: "+strings.Repeat("x", 1000)+"\r\n")
		}, Retry, 0, "sent more than 64 KiB of headers"},
		{"one endless header", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX: ")
			endless(c, strings.Repeat("x", 1000))
		}, Retry, 0, "sent more than 64 KiB of headers"},
		{"1xx without end", func(c net.Conn, _ *bufio.Reader) {
			endless(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
		}, Retry, 0, "sent more than 64 KiB of headers"},
		{"switches to another protocol", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n")
			untilClosed(c)
		}, Retry, 101, "HTTP 101 Switching Protocols"},
		{"silent", func(c net.Conn, _ *bufio.Reader) { untilClosed(c) }, Retry, 0, "timed out after 500ms while waiting for the response"},
		{"closes at once", func(net.Conn, *bufio.Reader) {}, Retry, 0, "closed the connection"},
		{"closes in the header", func(c net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nX-A: b\r\n") }, Retry, 0, "closed the connection while reading the response"},
		{"closes in the body", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
		}, Delivered, 200, ""},
		{"is gone and closes in the body", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 410 Gone\r\nContent-Length: 10\r\n\r\nabc")
		}, Gone, 410, "HTTP 410 Gone: abc"},
		{"wants to be left alone and drips", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 60\r\nContent-Length: 1000\r\n\r\n")
			dripTo(c)
		}, Throttled, 503, "HTTP 503 Service Unavailable: x"},
		{"resets in the middle", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
			_ = c.(*net.TCPConn).SetLinger(0)
		}, Delivered, 200, ""},
		{"no HTTP", func(c net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(c, "220 smtp.example.org ESMTP\r\n") }, Retry, 0, "does not speak HTTP on this port"},
		{"two lengths", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc")
		}, Retry, 0, "an answer that cannot be read"},
		{"a chunk of no size", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		}, Delivered, 200, ""},
		{"gzip that is cut off", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n\x1f\x8b\x08\x00")
		}, Delivered, 200, ""},
		{"gzip that is none", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 15\r\n\r\nnot gzip at all")
		}, Delivered, 200, ""},
		{"answers before reading", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			untilClosed(c)
		}, Delivered, 202, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := raw(t, func(conn net.Conn, _ []string, body *bufio.Reader) { c.handle(conn, body) })
			e := endpoint(t, Config{URL: url + "/aVeryLongSecretPath1", Timeout: 500 * time.Millisecond}, open())
			r := e.Send(t.Context(), sample())
			if r.Class != c.class || r.Status != c.status || !strings.Contains(r.Error, c.text) || (c.text == "") != (r.Error == "") {
				t.Errorf("%+v", r)
			}
			if strings.Contains(r.Error, "SecretPath") {
				t.Errorf("the URL leaks: %s", r.Error)
			}
			if r.RetryAfter.IsZero() == (r.Status == 503) {
				t.Errorf("to be tried again after %s", r.RetryAfter)
			}
			if r.Outage != (c.class == Retry && c.status != 101) {
				t.Errorf("outage is %v", r.Outage)
			}
		})
	}
}

func drip(c net.Conn, _ *bufio.Reader) {
	_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
	dripTo(c)
}

// dripTo writes a byte now and then until the other side closes.
func dripTo(c net.Conn) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		if _, err := c.Write([]byte("x")); err != nil {
			return
		}
	}
}

// endless writes text until the other side closes, and tells how many bytes.
func endless(c io.Writer, text string) (n int64) {
	for {
		m, err := io.WriteString(c, text)
		if n += int64(m); err != nil {
			return n
		}
	}
}

// An accepted event is accepted however long the answer is, and little of it is taken.
func TestSend_AnEndlessBodyIsCutOff(t *testing.T) {
	bomb, empty := gzipOf(t, 1<<20, 1024), gzipOf(t, 0, 2000)
	for _, c := range []struct {
		name, head string
		chunk      string
	}{
		{"10 GB", "Content-Length: 10000000000\r\n", strings.Repeat("x", 32<<10)},
		{"until close", "", strings.Repeat("x", 32<<10)},
		{"chunks", "Transfer-Encoding: chunked\r\n", "8000\r\n" + strings.Repeat("x", 32<<10) + "\r\n"},
		{"gzip bomb", fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n", len(bomb)), bomb},
		{"gzip of nothing, over and over", "Content-Encoding: gzip\r\n", empty},
	} {
		t.Run(c.name, func(t *testing.T) {
			var written atomic.Int64
			done := make(chan struct{})
			url := raw(t, func(conn net.Conn, _ []string, _ *bufio.Reader) {
				defer close(done)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+c.head+"\r\n")
				written.Add(endless(conn, c.chunk))
			})
			var before, after runtime.MemStats
			e := endpoint(t, Config{URL: url}, open())
			runtime.ReadMemStats(&before)
			r := e.Send(t.Context(), sample())
			runtime.ReadMemStats(&after)
			<-done
			if kept := map[bool]int{false: 1000}[c.chunk == empty]; r.Class != Delivered || len(r.Response) != kept {
				t.Errorf("%+v", r)
			}
			// What the server could write is what was read and what the kernel's buffers took.
			if n := written.Load(); n > 32<<20 {
				t.Errorf("the server managed to write %d bytes", n)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("%d bytes were allocated", used)
			}
		})
	}
}

// gzipOf is so many members of a gzip stream, which may follow one another, of size bytes each.
func gzipOf(t *testing.T, size, members int) string {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(bytes.Repeat([]byte("x"), size))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.Repeat(b.String(), members)
}

func TestSend_AReceiverThatDoesNotReadABigEventEndsInTime(t *testing.T) {
	url := listen(t, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		<-t.Context().Done()
	})
	m := sample()
	m.Body = bytes.Repeat([]byte("x"), 32<<20)
	r := endpoint(t, Config{URL: url, Timeout: 3 * time.Second}, open()).Send(t.Context(), m)
	if r.Class != Retry || !strings.Contains(r.Error, "timed out after 3s while sending the request") {
		t.Errorf("%+v", r)
	}
}

func TestSend_NobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	r := endpoint(t, Config{URL: "http://" + l.Addr().String()}, open()).Send(t.Context(), sample())
	if want := l.Addr().String() + " refused the connection; is the receiver running?"; r.Class != Retry || !r.Outage || r.Error != want {
		t.Errorf("%+v", r)
	}
}

func BenchmarkSend(b *testing.B) {
	s := serve(b, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	e := endpoint(b, Config{URL: s.URL}, open())
	m := sample()
	b.ReportAllocs()
	for b.Loop() {
		if r := e.Send(b.Context(), m); r.Class != Delivered {
			b.Fatalf("%+v", r)
		}
	}
}

// Who closes before it has read a large event: what is told is of the receiver, at whatever moment
// the close is seen.
func TestSend_AReceiverThatClosesWhileItIsSentTo(t *testing.T) {
	url := raw(t, func(c net.Conn, _ []string, _ *bufio.Reader) { _ = c.(*net.TCPConn).SetLinger(0) })
	e := endpoint(t, Config{URL: url}, open())
	m := sample()
	m.Body = bytes.Repeat([]byte("x"), 4<<20)
	for range 100 {
		r := e.Send(t.Context(), m)
		if !r.Outage || !strings.Contains(r.Error, " the connection while sending the request") {
			t.Fatalf("%+v", r)
		}
	}
}
