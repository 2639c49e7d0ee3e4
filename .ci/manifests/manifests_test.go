// Package manifests holds what is written for compose and Kubernetes against their own
// loaders. It is a module of its own: the agent does not depend on these libraries.
package manifests

import (
	"os"
	"path/filepath"
	"testing"
)

// examples is a copy of the examples with the secrets in place that the README has people make.
func examples(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "examples")
	if err := os.CopyFS(dir, os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	for _, way := range []string{"compose", "kubernetes"} {
		for _, name := range []string{"webhook_secret", "admin_token", "paperless_secret_key"} {
			if err := os.WriteFile(filepath.Join(dir, way, "secrets", name), []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}
