package agent

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/admin"
	"github.com/dawnsystem/intellidocs-agent/cmd/intellidocs-agent/internal/config"
)

// minToken is how many characters a token must have.
const minToken = 16

// stateToken reads the admin token of a state directory and makes it where there is none, or
// where others than its owner could have read it.
func stateToken(dir string) (string, error) {
	token, err := ReadToken(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	defer root.Close()
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails, says crypto/rand
	token = hex.EncodeToString(key)
	const tmp = admin.TokenName + ".tmp"
	if err := root.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("admin token: %w", err)
	}
	f, err := root.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	_, err = io.WriteString(f, token+"\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	if err := root.Rename(tmp, admin.TokenName); err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	return token, nil
}

// ReadToken reads the admin token of a state directory. One that others could have read or
// written counts as missing, and is made again at the next start.
func ReadToken(dir string) (string, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	defer root.Close()
	before, err := root.Lstat(admin.TokenName)
	if err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	path := filepath.Join(dir, admin.TokenName)
	if !before.Mode().IsRegular() || linked(before) {
		return "", fmt.Errorf("admin token: %s is a link or not a regular file; remove it, and the agent makes another when it next starts", path)
	}
	f, err := root.OpenFile(admin.TokenName, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !os.SameFile(before, info) {
		return "", errors.Join(fmt.Errorf("admin token: %s changed while it was read", path), err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("admin token: %s may be read by others (mode %#o): %w", path, info.Mode().Perm(), fs.ErrNotExist)
	}
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", fmt.Errorf("admin token: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if len(token) < minToken {
		return "", fmt.Errorf("admin token: %s has fewer than %d characters; remove it, and the agent makes another when it next starts", path, minToken)
	}
	return token, nil
}

// TokenOf returns the token that a configuration's agent asks for, "" where it asks for none.
func TokenOf(cfg *config.Config) (string, error) {
	switch {
	case cfg.Admin.Open:
		return "", nil
	case cfg.Admin.TokenFile != "":
		return cfg.Admin.Token.Reveal(), nil
	}
	return ReadToken(cfg.State.Path)
}
