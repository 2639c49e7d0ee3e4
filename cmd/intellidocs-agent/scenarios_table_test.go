package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// scenarios are the rows of the table.
func scenarios() (all []scenario) {
	all = append(all, rotationsLive()...)
	all = append(all, rotationsDown()...)
	all = append(all, wrappings()...)
	all = append(all, crashes()...)
	all = append(all, texts()...)
	return append(all, spools()...)
}

// rotate has logrotate rotate once.
func (s *stage) rotate(how string) {
	s.t.Helper()
	conf := filepath.Join(s.dir, "logrotate.conf")
	s.must(os.MkdirAll(filepath.Join(filepath.Dir(s.log), "old"), 0o755))
	s.must(os.WriteFile(conf, fmt.Appendf(nil, "%s {\n rotate 100\n missingok\n%s\n}\n", s.log, how), 0o644))
	if out, err := exec.Command(s.program("logrotate"), "--force", "--state", conf+".state", conf).CombinedOutput(); err != nil {
		s.t.Fatalf("logrotate %s: %v\n%s", how, err, out)
	}
	if strings.Contains(how, "dateext") {
		s.pause(1100 * time.Millisecond) // its names have no more than seconds
	}
}

func rotationsLive() []scenario {
	python := func(kind string, modules ...string) func(s *stage) {
		return func(s *stage) {
			s.start()
			for range 4 {
				s.write(kind, 200, modules...)
			}
		}
	}
	all := []scenario{
		{kind: "rotated while read", writer: "RotatingFileHandler", run: python("rotating")},
		{kind: "rotated while read", writer: "TimedRotatingFileHandler", run: python("timed")},
		{kind: "rotated while read", writer: "concurrent-log-handler", run: python("concurrent", "concurrent_log_handler")},
	}
	for _, how := range []string{"create", "nocreate", "copytruncate", "create\ncompress", "create\ncompress\nshred", "create\nolddir old", "create\nextension .log", "create\ndateext\ndateformat -%s"} {
		all = append(all, scenario{kind: "rotated while read", writer: "logrotate " + strings.ReplaceAll(how, "\n", ", "), run: func(s *stage) {
			s.start()
			for range 3 {
				s.write("watched", 50)
				s.arrived(0) // what copytruncate or compress take away must have been read
				s.rotate(how)
			}
			s.write("watched", 50)
		}})
	}
	return append(all, scenario{kind: "rotated while read", writer: "savelog", run: func(s *stage) {
		s.start()
		for range 3 {
			s.lines(20)
			if out, err := exec.Command(s.program("savelog"), "-n", "-l", "-c", "100", s.log).CombinedOutput(); err != nil {
				s.t.Fatalf("savelog: %v\n%s", err, out)
			}
		}
		s.lines(20)
	}}, loggerTo("multilog", true), loggerTo("svlogd", true), loggerTo("s6-log", true))
}

func rotationsDown() []scenario {
	var all []scenario
	for _, how := range []string{
		"", "extension .log", "dateext\ndateformat -%Y%m%d-%s", "dateext\ndateformat .%s\nextension .log", "dateext\ndateformat _%s\nextension .log",
		"start 0", "olddir old", "olddir old\nextension .log", "compress", "compress\ndelaycompress", "compress\nextension .log", "compress\nolddir old",
		"compress\nshred", "compress\ndateext\ndateformat -%s\nextension .log", "copy", "copytruncate",
	} {
		all = append(all, scenario{kind: "rotated three times while down", writer: "logrotate " + strings.ReplaceAll(how, "\n", ", "), run: func(s *stage) {
			s.lines(20)
			s.down(func() {
				for range 3 {
					s.lines(20)
					s.rotate("create\n" + how)
				}
				s.lines(20)
			})
		}})
	}
	return append(all, scenario{kind: "rotated three times while down", writer: "savelog, which compresses", run: func(s *stage) {
		s.lines(20)
		s.down(func() {
			for range 3 {
				s.lines(20)
				if out, err := exec.Command(s.program("savelog"), "-n", "-c", "100", s.log).CombinedOutput(); err != nil {
					s.t.Fatalf("savelog: %v\n%s", err, out)
				}
			}
			s.lines(20)
		})
	}}, loggerTo("multilog", false), loggerTo("svlogd", false), loggerTo("s6-log", false))
}

// loggerTo writes through a program that rotates by itself, read meanwhile or down in between.
func loggerTo(name string, live bool) scenario {
	kind := "rotated while read"
	if !live {
		kind = "rotated three times while down"
	}
	return scenario{kind: kind, writer: name, run: func(s *stage) {
		dir := filepath.Join(s.dir, "logger")
		s.must(os.Mkdir(dir, 0o755))
		args := map[string][]string{"multilog": {"s4096", "n100", dir}, "svlogd": {dir}, "s6-log": {"n100", "s4096", dir}}[name]
		s.must(os.WriteFile(filepath.Join(dir, "config"), []byte("s4096\nn100\n"), 0o644))
		cmd := exec.Command(s.program(name), args...)
		in, err := cmd.StdinPipe()
		s.must(err)
		s.must(cmd.Start())
		s.t.Cleanup(func() { _ = cmd.Process.Kill() })
		s.log = filepath.Join(dir, "current")
		s.reconfigure("")
		log := func(n int) {
			for range n {
				_, err := fmt.Fprintln(in, s.event())
				s.must(err)
			}
		}
		log(100)
		if live {
			s.start()
			log(300)
			s.arrived(0)
		} else {
			s.down(func() {
				log(300)
				s.until("the logger to write", time.Minute, func() bool {
					files, _ := filepath.Glob(filepath.Join(dir, "*"))
					n := 0
					for _, f := range files {
						b, _ := os.ReadFile(f)
						n += strings.Count(string(b), "scenario")
					}
					return n == s.written
				})
			})
		}
		s.must(in.Close())
		_ = cmd.Wait()
	}}
}

func wrappings() []scenario {
	var all []scenario
	all = append(all, scenario{kind: "another logger's form", writer: "logging.basicConfig", rejected: 20, lost: 20, run: func(s *stage) {
		s.start()
		s.write("basic", 20) // its names are not in brackets, and anybody's text looks so
	}})
	for _, c := range [][]string{{"python-json-logger", "pythonjsonlogger"}, {"structlog", "structlog"}, {"loguru", "loguru"}} {
		all = append(all, scenario{kind: "another logger's form", writer: c[0], run: func(s *stage) { s.write(c[0], 20, c[1:]...) }})
	}
	all = append(all, scenario{kind: "another logger's form", writer: "logger(1), as it prints", run: func(s *stage) {
		s.start()
		for range 10 {
			out, err := exec.Command(s.program("logger"), "--socket-errors=off", "--no-act", "--stderr", "--tag", "intellidocs", "--", s.line()).CombinedOutput()
			s.must(err)
			s.raw(string(out))
		}
	}})
	quote := func(text string) string { return fmt.Sprintf("%q", text) }
	for name, wrap := range map[string]func(line string) string{
		"syslog, RFC 3164":            func(l string) string { return "Nov 14 15:00:00 host intellidocs[7]: " + l },
		"syslog, RFC 5424":            func(l string) string { return "<14>1 2025-11-14T15:00:00.1Z host intellidocs 7 - - " + l },
		"docker compose logs":         func(l string) string { return "webserver-1  | " + l },
		"docker compose logs, colour": func(l string) string { return "\x1b[36mwebserver-1  | \x1b[0m" + l },
		"docker logs -t":              func(l string) string { return "2025-11-14T15:00:00.123456789Z " + l },
		"docker json-file": func(l string) string {
			return `{"log":` + quote(l+"\n") + `,"stream":"stderr","time":"2025-11-14T15:00:00Z"}`
		},
		"CRI":                   func(l string) string { return "2025-11-14T15:00:00.1Z stderr F " + l },
		"kubectl logs --prefix": func(l string) string { return "[pod/intellidocs-0/web] " + l },
		"journalctl -o json":    func(l string) string { return `{"MESSAGE":` + quote(l) + `,"PRIORITY":"6"}` },
		"multilog's stamp":      func(l string) string { return "@400000006913f2b012345678 " + l },
		"GELF": func(l string) string {
			return `{"version":"1.1","host":"h","short_message":` + quote(l) + `,"level":6}`
		},
		"Celery's redirect": func(l string) string { return "[2025-11-14 15:00:00,1: WARNING/ForkPoolWorker-1] " + l },
	} {
		all = append(all, scenario{kind: "wrapped", writer: name, run: func(s *stage) {
			s.start()
			for range 10 {
				s.append(wrap(s.line()))
			}
		}})
	}
	return all
}

func crashes() []scenario {
	return []scenario{
		{kind: "torn, the next one glued to it", writer: "a full disk", rejected: 5, run: func(s *stage) {
			s.start()
			for _, torn := range []string{oursAt + `{"event_ty`, oursAt + `{"event_type":"scenario","n":`, oursAt + `{"event_type":"x","a":"b`, oursAt + `{"event_type"` + "\x00\x00\x00", oursAt + `{"event_type":{`} {
				s.append(torn + s.line())
			}
		}},
		{kind: "torn, the next one glued to it", writer: "two whole ones without a line feed between", run: func(s *stage) {
			s.start()
			s.append(s.line() + s.line())
		}},
		{kind: "torn, the next one glued to it", writer: "podman, started again (CRI)", rejected: 1, run: func(s *stage) {
			s.start()
			s.append("2025-11-14T15:00:00.1Z stderr F "+s.line(), "2025-11-14T15:00:00.2Z stderr P "+oursAt+`{"event_type":"scen`,
				"2025-11-14T15:00:09.1Z stderr F "+s.line(), "2025-11-14T15:00:09.2Z stderr F "+s.line())
		}},
		{kind: "size before data", writer: "a network file system", source: "type = \"log\"\npoll = true", run: func(s *stage) {
			s.start()
			s.lines(2)
			for range 3 {
				line := s.line() + "\n"
				s.late(line, 700*time.Millisecond)
			}
			s.lines(1)
		}},
		{kind: "the same content again", writer: "a power cut: shorter, then written on", rejected: 1, run: func(s *stage) {
			s.lines(50)
			s.down(func() {
				info, err := os.Stat(s.log)
				s.must(err)
				s.must(os.Truncate(s.log, info.Size()-700))
				s.raw("\n")
				s.lines(10)
			})
		}},
		{kind: "the same content again", writer: "a power cut: its end turned to NULs", run: func(s *stage) {
			s.lines(80)
			s.down(func() {
				info, err := os.Stat(s.log)
				s.must(err)
				s.patch(info.Size()-3000, make([]byte, 3000))
				s.raw("\n")
				s.lines(10)
			})
		}},
		{kind: "the same content again", writer: "inode numbers that change", run: func(s *stage) {
			s.lines(50)
			s.start()
			for range 5 {
				s.lines(3)
				s.arrived(0)
				b, err := os.ReadFile(s.log)
				s.must(err)
				s.must(os.WriteFile(s.log+".tmp", b, 0o644))
				s.must(os.Rename(s.log+".tmp", s.log))
			}
			s.lines(3)
		}},
		// What stands between the writer and the next part known by its sum is read again.
		{kind: "overwritten from its beginning", writer: "systemd, StandardOutput=file:", merge: true, run: func(s *stage) {
			s.lines(100)
			s.start()
			s.arrived(0)
			for at, i := int64(0), 0; i < 20; i++ {
				line := s.line() + "\n"
				s.patch(at, []byte(line))
				at += int64(len(line))
				s.pause(30 * time.Millisecond)
			}
		}},
		{kind: "a hole", writer: "64 GiB, SIGTERM meanwhile", run: func(s *stage) {
			s.lines(2)
			s.start()
			s.arrived(0)
			s.must(os.Truncate(s.log, 64<<30))
			s.pause(300 * time.Millisecond)
			s.stop()
			s.lines(2)
		}},
		{kind: "a line without end", writer: "256 MiB, SIGTERM meanwhile", rejected: 1, run: func(s *stage) {
			s.lines(2)
			f, err := os.OpenFile(s.log, os.O_WRONLY, 0)
			s.must(err)
			info, err := f.Stat()
			s.must(err)
			block := []byte(strings.Repeat("x", 1<<20))
			for i := range int64(256) {
				_, err := f.WriteAt(block, info.Size()+i<<20)
				s.must(err)
			}
			s.must(f.Close())
			s.start()
			s.arrived(0)
			s.until("the lag to be said", time.Minute, func() bool { return s.look().LagBytes >= 256<<20 })
			s.stop()
			s.raw("\n")
			s.lines(1)
		}},
		{kind: "killed", writer: "kill -9, ten times, while RotatingFileHandler writes", run: func(s *stage) {
			for range 10 {
				s.start()
				s.write("rotating", 100)
				s.kill(syscall.SIGKILL)
			}
		}},
	}
}

// late writes a line as some network file systems show it: its size first, its bytes later.
func (s *stage) late(line string, after time.Duration) {
	info, err := os.Stat(s.log)
	s.must(err)
	s.must(os.Truncate(s.log, info.Size()+int64(len(line))))
	s.pause(after)
	s.patch(info.Size(), []byte(line))
}

// patch overwrites the log at the offset.
func (s *stage) patch(at int64, data []byte) {
	f, err := os.OpenFile(s.log, os.O_WRONLY, 0)
	s.must(err)
	_, err = f.WriteAt(data, at)
	s.must(err)
	s.must(f.Close())
}

func texts() []scenario {
	forged := oursAt + `{"event_type":"forged"}`
	return []scenario{
		{kind: "forged", writer: "a title with a line feed, verbose log", run: func(s *stage) {
			s.start()
			s.append(s.line(), othersAt+"Consuming Invoice", forged[len(oursAt):], s.line())
			s.append(othersAt+"Consuming "+forged, s.line())
		}},
		{kind: "UTF-16 appended", writer: "a shell of another system", rejected: 1, run: func(s *stage) {
			s.start()
			s.lines(1)
			wide := ""
			for _, c := range `{"event_type":"x"}` {
				wide += string(c) + "\x00"
			}
			s.raw(wide + "\n\x00\n")
			s.lines(1)
		}},
		{kind: "our logger's events elsewhere", writer: "extra, context, data, message", run: func(s *stage) {
			s.start()
			for _, form := range []string{`"extra":{"event":%s}`, `"context":{"event":%s}`, `"data":%s`, `"extra":{"data":%s}`, `"message":%s`, `"msg":%s`, `"payload":%s`, `"ai_event":%s`} {
				s.append(`{"name":"paperless.ai_webhooks",` + fmt.Sprintf(form, s.event()) + `}`)
			}
		}},
	}
}

func spools() []scenario {
	spool := func(after string, run func(s *stage, dir string)) func(s *stage) {
		return func(s *stage) {
			s.log = filepath.Join(s.dir, "spool")
			s.must(os.Mkdir(s.log, 0o755))
			s.reconfigure("type = \"spool\"\n" + after)
			run(s, s.log)
		}
	}
	return []scenario{
		{kind: "spool", writer: "json, arrays, ndjson", run: spool("", func(s *stage, dir string) {
			s.start()
			moveIn(s.t, dir, "1.json", s.event())
			moveIn(s.t, dir, "2.json", "["+s.event()+",\n "+s.event()+"]")
			moveIn(s.t, dir, "3.ndjson", s.event()+"\n"+s.event()+"\n")
			moveIn(s.t, dir, "4.jsonl", s.event())
		})},
		{kind: "spool", writer: "appended in place after it was read", run: spool("", func(s *stage, dir string) {
			s.start()
			f, err := os.OpenFile(filepath.Join(dir, "1.ndjson"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			s.must(err)
			for range 10 {
				fmt.Fprintln(f, s.event())
				s.pause(150 * time.Millisecond)
			}
			s.must(f.Close())
		})},
		{kind: "spool", writer: "a broken file among others, archived", rejected: 1, run: spool("after = \"archive\"", func(s *stage, dir string) {
			s.start()
			moveIn(s.t, dir, "1.json", s.event())
			moveIn(s.t, dir, "2.json", `{"event_type":`)
			moveIn(s.t, dir, "3.json", s.event())
		})},
	}
}
