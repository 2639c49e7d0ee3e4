package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// ErrExists says that something stands where a file would be written.
var ErrExists = errors.New("it already exists")

// Write writes the files; target is agent.toml's path, the others go beside it. They are
// 0600, in a directory of 0700. Where a directory belongs to another group than root's, as
// that of a package does, root's files are that group's to read. Nothing is replaced unless
// replace is set; on an error what was written is taken away again.
func Write(target string, files []File, replace bool) (err error) {
	dir := filepath.Dir(target)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = filepath.Join(dir, filepath.FromSlash(f.Path))
	}
	paths[0] = target
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil && !replace {
			return fmt.Errorf("%s: %w", path, ErrExists)
		}
	}
	mode, group := access(dir)
	var written []string
	defer func() {
		if err != nil && !replace {
			for _, path := range written {
				_ = os.Remove(path)
			}
		}
	}()
	// agent.toml comes last: with it the secrets are there.
	for i := len(files) - 1; i >= 0; i-- {
		if err := makeDir(filepath.Dir(paths[i]), dir, mode, group); err != nil {
			return err
		}
		if err := writeFile(paths[i], files[i].Data, mode, group, replace); err != nil {
			return err
		}
		written = append(written, paths[i])
	}
	return nil
}

// access returns the mode of files in dir, and the group they get, -1 for the usual.
func access(dir string) (mode fs.FileMode, group int) {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return 0o600, -1
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Gid != 0 {
		return 0o640, int(st.Gid)
	}
	return 0o600, -1
}

// makeDir makes the directory of the secrets; dir is there.
func makeDir(path, dir string, mode fs.FileMode, group int) error {
	if path == dir {
		return nil
	}
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil || group < 0 {
		return err
	}
	return errors.Join(os.Chown(path, -1, group), os.Chmod(path, mode|0o110))
}

// writeFile puts a whole file in its place, or none.
func writeFile(path string, data []byte, mode fs.FileMode, group int, replace bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".init-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // once it has its name there is none
	if group >= 0 {
		err = errors.Join(f.Chown(-1, group), f.Chmod(mode))
	}
	if err == nil {
		_, err = f.Write(data)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if replace {
		return os.Rename(f.Name(), path)
	}
	if err := os.Link(f.Name(), path); err != nil { // which replaces nothing
		return err
	}
	return nil
}
