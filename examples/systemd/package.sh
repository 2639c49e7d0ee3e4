#!/bin/sh
# Builds dist/*.deb and dist/*.rpm: package.sh [VERSION [ARCH…]]
# Needs Go; nfpm comes through it. The same commit builds the same packages.
set -eu
cd "$(dirname "$0")/../.."
version=${1:-$(git describe --tags --always 2>/dev/null | sed -n 's/^v\([0-9].*\)/\1/p')}
VERSION=${version:-0.0.0}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- "$(go env GOARCH)"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export VERSION SOURCE_DATE_EPOCH

native=$(mktemp)
trap 'rm -f "$native"' EXIT
examples/binary/build.sh "$native" "$VERSION"

for ARCH in "$@"; do
  export ARCH PACKAGE_ARCH="$ARCH"
  tree=dist/package-$ARCH
  rm -rf "$tree"
  mkdir -p "$tree/usr/bin" "$tree/usr/lib/systemd/system" "$tree/usr/share/man/man1" \
    "$tree/usr/share/doc/intellidocs-agent" "$tree/usr/share/intellidocs-agent/intellidocs_events" \
    "$tree/usr/share/bash-completion/completions" "$tree/usr/share/zsh/vendor-completions" \
    "$tree/usr/share/fish/vendor_completions.d"
  examples/binary/build.sh "$tree/usr/bin/intellidocs-agent" "$VERSION" linux "$ARCH"
  cp examples/systemd/intellidocs-agent.service "$tree/usr/lib/systemd/system/"
  cp examples/systemd/copyright examples/systemd/README.md "$tree/usr/share/doc/intellidocs-agent/"
  [ ! -f CHANGELOG.md ] || gzip -9n < CHANGELOG.md > "$tree/usr/share/doc/intellidocs-agent/changelog.gz"
  cp examples/intellidocs/intellidocs_events/*.py "$tree/usr/share/intellidocs-agent/intellidocs_events/"
  cp -R agent.toml.example examples/agent.schema.json examples/configurations examples/formats "$tree/usr/share/intellidocs-agent/"
  go run -tags manual ./cmd/intellidocs-agent man "$tree/usr/share/man/man1"
  gzip -9n "$tree"/usr/share/man/man1/*.1
  "$native" completion bash > "$tree/usr/share/bash-completion/completions/intellidocs-agent"
  "$native" completion zsh > "$tree/usr/share/zsh/vendor-completions/_intellidocs-agent"
  "$native" completion fish > "$tree/usr/share/fish/vendor_completions.d/intellidocs-agent.fish"
  chmod -R u=rwX,go=rX "$tree"
  [ "$ARCH" != arm ] || export PACKAGE_ARCH=arm7
  for packager in deb rpm; do
    GOFLAGS=-mod=mod go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0 package \
      --config examples/systemd/nfpm.yaml --packager $packager --target dist/
  done
done
