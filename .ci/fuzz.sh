#!/usr/bin/env bash
# Fuzzes every target for a while: .ci/fuzz.sh 8s
set -euo pipefail
for pkg in $(go list ./...); do
  dir=$(go list -f '{{.Dir}}' "$pkg")
  for target in $(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go 2>/dev/null | cut -c6- | sort -u); do
    echo "$pkg $target"
    go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-8s}" "$pkg" > /tmp/fuzz.$$ 2>&1 || { cat /tmp/fuzz.$$; exit 1; }
  done
done
rm -f /tmp/fuzz.$$
