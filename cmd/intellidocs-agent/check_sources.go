package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

// sourceWarnings tell of sources that the agent could not read as things are, were it started by
// this user. They are no errors: files and rights may come later, and it waits for them.
func sourceWarnings(cfg *config.Config) []config.Problem {
	var out []config.Problem
	for _, s := range cfg.Sources {
		check := checkLog
		if s.Type == "spool" {
			check = checkSpool
		}
		for _, text := range check(s.Path) {
			out = append(out, config.Problem{File: cfg.Path, Key: "source " + s.Path, Text: text})
		}
	}
	return out
}

// rootWarnings tell of files of other users that root works on. Who owns them decides what it
// finds there, and needs no more than a mistake of the agent's to have it done as root.
func rootWarnings(cfg *config.Config) []config.Problem {
	if os.Geteuid() != 0 {
		return nil
	}
	paths := map[uint32][]string{}
	note := func(path string) {
		if info, err := os.Stat(path); err == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
				paths[st.Uid] = append(paths[st.Uid], path)
			}
		}
	}
	note(cfg.State.Path)
	for _, s := range cfg.Sources {
		note(s.Path)
	}
	var out []config.Problem
	for _, uid := range slices.Sorted(maps.Keys(paths)) {
		name := userName(int(uid))
		text := fmt.Sprintf("the agent would run as root on files of %s (%s); run it as %s (systemd: User=%s, a container: user: \"%d\"), and let the state directory be that user's too",
			name, strings.Join(paths[uid], ", "), name, name, uid)
		out = append(out, config.Problem{File: cfg.Path, Text: text})
	}
	return out
}

func checkLog(path string) (texts []string) {
	info, text := find(path)
	switch {
	case text != "":
		texts = append(texts, text)
	case info.IsDir():
		return []string{"a log must be a file, and this is a directory"}
	case !info.Mode().IsRegular(): // opening a pipe would wait for its writer
		return []string{"a log must be a regular file"}
	default:
		texts = append(texts, denied(path, "read it", unix.R_OK)...)
	}
	// Rotated files are found by listing the directory, which may be entered without that.
	if dir := filepath.Dir(path); isDir(dir) {
		texts = append(texts, denied(dir, "list its directory, where rotated files are looked for", unix.R_OK|unix.X_OK)...)
	}
	return texts
}

func checkSpool(path string) (texts []string) {
	info, text := find(path)
	switch {
	case text != "":
		return []string{text}
	case !info.IsDir():
		return []string{"a spool must be a directory"}
	}
	texts = denied(path, "list it", unix.R_OK|unix.X_OK)
	if len(texts) > 0 {
		return texts
	}
	texts = denied(path, "take files out of it, which stay then, and are read once", unix.W_OK)
	for _, sub := range []string{"archive", "rejected"} {
		if dir := filepath.Join(path, sub); isDir(dir) {
			texts = append(texts, denied(dir, "move files into "+dir, unix.W_OK|unix.X_OK)...)
		}
	}
	return texts
}

// find returns what is at the path, or what to say instead.
func find(path string) (info os.FileInfo, text string) {
	info, err := os.Stat(path)
	if err == nil {
		return info, ""
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return nil, err.Error()
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if isDir(dir) {
			if why := denied(dir, "enter "+dir, unix.X_OK); len(why) > 0 {
				return nil, why[0]
			}
			break
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if !isDir(filepath.Dir(path)) {
		return nil, "neither it nor its directory exists yet; is it mounted?"
	}
	return nil, "it does not exist yet; the agent waits for it"
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// denied says what this user may not do with the file at path, and what would allow it.
func denied(path, what string, mode uint32) []string {
	err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrPermission) {
		return []string{fmt.Sprintf("this user (%s) cannot %s: %v", userName(os.Geteuid()), what, err)}
	}
	info, err := os.Stat(path)
	if err != nil {
		return []string{err.Error()}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return []string{"this user may not " + what}
	}
	bits := ""
	for i, letter := range []string{"x", "w", "r"} { // as in the modes: X_OK is 1, W_OK 2, R_OK 4
		if mode&(1<<i) != 0 {
			bits = letter + bits
		}
	}
	me, owner, group := userName(os.Geteuid()), userName(int(st.Uid)), groupName(int(st.Gid))
	var help []string
	if st.Gid != 0 {
		help = append(help, fmt.Sprintf("put it into that group (usermod -aG %s %s)", group, me))
		if need := os.FileMode(mode << 3); info.Mode().Perm()&need != need {
			help[0] += fmt.Sprintf(" and chmod g+%s %s", bits, path)
		}
	}
	if mode&unix.W_OK == 0 {
		help = append(help, fmt.Sprintf("chmod o+%s %s", bits, path))
	} else if st.Uid != 0 { // what everybody may write to is no place for events
		help = append(help, "run the agent as "+owner)
	}
	if len(help) == 0 {
		help = append(help, fmt.Sprintf("chown %s %s", me, path))
	}
	return []string{fmt.Sprintf("this user (%s) may not %s: %s is %s's, group %s, mode %04o; %s", me, what, path, owner, group, info.Mode().Perm(), strings.Join(help, ", or "))}
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}

func groupName(gid int) string {
	if g, err := user.LookupGroupId(strconv.Itoa(gid)); err == nil {
		return g.Name
	}
	return strconv.Itoa(gid)
}
