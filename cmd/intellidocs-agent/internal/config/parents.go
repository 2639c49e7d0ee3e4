package config

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// weakness is a directory in which somebody else may rename what a path leads through, and
// put another thing in its place.
type weakness struct{ dir, text string }

// weaknesses looks at all directories above a path, as OpenSSH's StrictModes does, and, as
// tmpfiles of systemd, also at those that symbolic links on the way lead through. Root is
// trusted, this user, and whoever owns what is at the path: it is theirs anyway.
//
// A directory that the group may write to is a matter of who is in it, as with Debian's sshd:
// a user's private group, of which nobody else is a member, is as good as the user. Root's
// group counts as root: what other accounts are in it by default (operator, sync) are the
// system's, and containers with a user of their own choice have it.
func weaknesses(path string) (out []weakness) {
	trusted := []uint32{0, uint32(os.Geteuid())}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = path
	}
	// Where a user namespace has no root, the owner of / is who stands for it.
	for _, p := range []string{"/", real} {
		if info, err := os.Stat(p); err == nil {
			trusted = append(trusted, info.Sys().(*syscall.Stat_t).Uid)
		}
	}
	for _, dir := range above(path, real) {
		info, err := os.Lstat(dir)
		if err != nil || dir == real {
			continue // what is not there yet the agent makes
		}
		st, mode := info.Sys().(*syscall.Stat_t), info.Mode()
		link, others := mode&fs.ModeSymlink != 0, mode.Perm()&0o022
		if mode.Perm()&0o020 != 0 && private("/etc", st.Gid, trusted) {
			others &^= 0o020
		}
		var who, help string
		switch {
		case !link && (!mode.IsDir() || readOnly(dir)):
			continue
		case !slices.Contains(trusted, st.Uid):
			who, help = userName(st.Uid), "keep it elsewhere, or chown root"
		case link || mode&fs.ModeSticky != 0: // a link's mode means nothing
			continue
		case others == 0o022:
			who, help = "every user of this machine", "chmod go-w"
		case others == 0o002:
			who, help = "every user of this machine", "chmod o-w"
		case others == 0o020:
			who, help = "whoever is in the group "+groupName(st.Gid), "chmod g-w"
		default:
			continue
		}
		out = append(out, weakness{dir, fmt.Sprintf("%s may replace it: %s is %s's, group %s, mode %04o; %s %s",
			who, dir, userName(st.Uid), groupName(st.Gid), unixMode(mode), help, dir)})
	}
	return out
}

// above returns the directories and links that lead to paths, each once.
func above(paths ...string) (out []string) {
	var visit func(string)
	visit = func(path string) {
		for ; !slices.Contains(out, path); path = filepath.Dir(path) {
			out = append(out, path)
			if target, err := os.Readlink(path); err == nil {
				if !filepath.IsAbs(target) {
					target = filepath.Join(filepath.Dir(path), target)
				}
				visit(target)
			}
		}
	}
	for _, path := range paths {
		visit(path)
	}
	return out
}

// readOnly reports whether nobody may write there, whatever the mode is: a ConfigMap's is 0777.
func readOnly(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && st.Flags&1 != 0 // ST_RDONLY, MNT_RDONLY
}

// private reports whether all accounts in a group are trusted. It knows those of passwd and
// group in etc, which on Linux are those of services.
func private(etc string, gid uint32, trusted []uint32) bool {
	if gid == 0 || runtime.GOOS != "linux" {
		return gid == 0
	}
	uids := map[string]uint32{}
	accounts := 0
	for _, f := range fields(filepath.Join(etc, "passwd"), 4) {
		uid, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			continue
		}
		uids[f[0]] = uint32(uid)
		if f[3] == strconv.Itoa(int(gid)) {
			accounts++
			if !slices.Contains(trusted, uint32(uid)) {
				return false
			}
		}
	}
	for _, f := range fields(filepath.Join(etc, "group"), 4) {
		if f[2] != strconv.Itoa(int(gid)) {
			continue
		}
		for member := range strings.SplitSeq(f[3], ",") {
			if member = strings.TrimSpace(member); member == "" {
				continue
			}
			accounts++
			if uid, ok := uids[member]; !ok || !slices.Contains(trusted, uid) {
				return false
			}
		}
	}
	// A group without accounts: a container's, which is the agent's or somebody's elsewhere.
	return accounts > 0 || gid == uint32(os.Getegid())
}

// fields are the lines of a file as /etc/passwd is one, with so many fields or more.
func fields(path string, least int) (out [][]string) {
	data, _ := os.ReadFile(path) // where there is none, there are no accounts
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) >= least {
			out = append(out, f)
		}
	}
	return out
}

func userName(uid uint32) string {
	id := strconv.Itoa(int(uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.Itoa(int(gid))
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}

// unixMode is a mode as chmod has it.
func unixMode(mode fs.FileMode) uint32 {
	m := uint32(mode.Perm())
	for bit, value := range map[fs.FileMode]uint32{fs.ModeSticky: 0o1000, fs.ModeSetgid: 0o2000, fs.ModeSetuid: 0o4000} {
		if mode&bit != 0 {
			m |= value
		}
	}
	return m
}
