#!/bin/sh
# Builds everything that a release offers into dist/release: release.sh [VERSION [PLATFORM…]]
#
#   intellidocs-agent_VERSION_OS_ARCH.tar.gz   the program, its example, schema, configurations, templates, manual and completions
#   *.deb, *.rpm                               for Linux
#   intellidocs-agent_VERSION.cdx.json         what it is made of (CycloneDX)
#   SHA256SUMS                                 of all of these
#
# Needs Go and GNU tar; nfpm and cyclonedx-gomod come through Go. The same commit makes the
# same files. The image is built by examples/container/build.sh.
set -eu
cd "$(dirname "$0")/../.."
version=${1:-$(git describe --tags --always 2> /dev/null | sed -n 's/^v\([0-9].*\)/\1/p')}
version=${version:-0.0.0}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- linux_amd64 linux_arm64 linux_armv7 darwin_amd64 darwin_arm64
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || echo 0)}
export SOURCE_DATE_EPOCH
out=$PWD/dist/release
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is the same in each archive; the manual and the completions are made from the program's commands.
examples/binary/build.sh "$work/native" "$version"
mkdir -p "$work/common/man" "$work/common/completions" "$work/common/intellidocs_events"
cp -R README.md CHANGELOG.md agent.toml.example examples/agent.schema.json examples/configurations examples/formats "$work/common/"
cp examples/intellidocs/intellidocs_events/*.py "$work/common/intellidocs_events/"
go run -tags manual ./cmd/intellidocs-agent man "$work/common/man"
for shell in bash zsh fish; do
  "$work/native" completion $shell > "$work/common/completions/intellidocs-agent.$shell"
done

packages=
for platform in "$@"; do
  os=${platform%_*} arch=${platform#*_}
  name=intellidocs-agent_${version}_$platform
  mkdir "$work/$name"
  cp -R "$work/common/." "$work/$name/"
  examples/binary/build.sh "$work/$name/intellidocs-agent" "$version" "$os" "${arch%v7}"
  [ "$os" != linux ] || packages="$packages ${arch%v7}"
  chmod -R u=rwX,go=rX "$work/$name"
  tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner \
    -C "$work" -cf - "$name" | gzip -9n > "$out/$name.tar.gz"
done

# shellcheck disable=SC2086 # a word each
examples/systemd/package.sh "$version" $packages
mv "dist/intellidocs-agent_$version"_*.deb "dist/intellidocs-agent-$version"-*.rpm "$out/"

date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
GOFLAGS=-mod=mod go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0 bin -json -std -noserial \
  -version "v$version" "$work/native" |
  sed -E "s/(\"timestamp\": \")[^\"]*/\1$date/" > "$out/intellidocs-agent_$version.cdx.json"

cd "$out"
# shellcheck disable=SC2035 # the names begin with intellidocs-agent
sha256sum * > SHA256SUMS
