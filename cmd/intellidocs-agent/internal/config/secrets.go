package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/dawnsystem/intellidocs-agent/dispatch/secret"
)

// maxFile bounds what is read of a file that the configuration names.
const maxFile = 64 << 10

var envName = regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,63}$`)

// errPasted says that a secret stands where its file's name belongs, without repeating it.
var errPasted = errors.New("write the name of a file here; this looks like the contents of one")

// random matches what nobody calls a file.
var random = regexp.MustCompile(`^[A-Za-z0-9+/=_]*[0-9][A-Za-z0-9+/=_]*$`)

// pasted reports whether a text looks like a secret, a URL or a key, and not like a file's name.
func pasted(name string) bool {
	return strings.HasPrefix(name, "whsec_") || strings.HasPrefix(name, "whsk_") || strings.Contains(name, "-----BEGIN") ||
		strings.Contains(name, "://") || len(name) >= 24 && !filepath.IsAbs(name) && random.MatchString(name)
}

// secret reads key, key_file or key_env by a rule such as Clean; no more than one may be
// there. The second result reports whether one was.
func (t *table) secret(key string, clean func(string) (string, error)) (Secret, bool) {
	inline := t.text(key, "")
	if inline != "" && (key != "url" || CredentialURL(inline) || databasePassword(inline)) {
		t.b.inline = append(t.b.inline, t.name+"."+key)
	}
	file := t.text(key+"_file", "")
	env := t.text(key+"_env", "")
	given := 0
	for _, s := range []string{inline, file, env} {
		if s != "" {
			given++
		}
	}
	if given > 1 {
		t.errorf(key, "give only one of %s, %s_file and %s_env", key, key, key)
		return Secret{}, true
	}
	switch {
	case file != "":
		s, err := t.b.readSecret(file, clean)
		if err != nil {
			t.errorf(key+"_file", "%v", err)
		}
		return s, true
	case env != "":
		v, ok := t.b.env.look(env)
		if !ok || v == "" {
			// A secret pasted here by mistake must not be printed.
			if envName.MatchString(env) {
				t.errorf(key+"_env", "there is no environment variable %s", env)
			} else {
				t.errorf(key+"_env", "there is no such environment variable; write the name of one, such as WEBHOOK_SECRET")
			}
			return Secret{}, true
		}
		text, err := clean(v)
		if err != nil {
			t.errorf(key+"_env", "the environment variable %s: %v", env, err)
		}
		return secret.Of(text), true
	case inline == "":
		return Secret{}, false
	}
	text, err := clean(inline)
	if err != nil {
		t.errorf(key, "%v", err)
	}
	return secret.Of(text), true
}

// readSecret reads a file that holds a secret. A name without a slash is looked for among
// systemd's credentials, then in /run/secrets, then beside agent.toml.
func (b *binder) readSecret(name string, clean func(string) (string, error)) (Secret, error) {
	tried := []string{b.abs(name)}
	if !strings.ContainsRune(name, '/') {
		tried = nil
		if dir, ok := b.env.look("CREDENTIALS_DIRECTORY"); ok && dir != "" {
			tried = append(tried, filepath.Join(dir, name))
		}
		tried = append(tried, filepath.Join("/run/secrets", name), b.abs(name))
	}
	for _, path := range tried {
		b.files = append(b.files, path)
		data, err := readFile(path)
		if errors.Is(err, fs.ErrNotExist) || err != nil && pasted(name) {
			continue
		}
		if err != nil {
			return Secret{}, err
		}
		text, err := clean(string(data))
		if err != nil {
			return Secret{}, fmt.Errorf("%s: %w", path, err)
		}
		b.secretFiles = append(b.secretFiles, path)
		return secret.Of(text), nil
	}
	if pasted(name) {
		return Secret{}, errPasted
	}
	return Secret{}, fmt.Errorf("there is no such file; looked for %s", strings.Join(tried, ", "))
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d KiB", path, maxFile>>10)
	}
	return data, err
}

// abs resolves a path against agent.toml's directory.
func (b *binder) abs(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.dir, path)
}

// checkReadable reports whether a file can be read; a bundle of authorities may be large.
func checkReadable(path string) error {
	// Opening a pipe would wait for its writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil {
		_, err = f.Read(make([]byte, 1))
	}
	return err
}
