#!/usr/bin/env bash
# The packages where no systemd runs, in a chroot: .ci/package.sh. Needs root.
# (.ci/systemd.sh tries the .deb in a machine that has booted.)
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh
work=$(mktemp -d)
trap 'unoverlay "$work/chroot"; rm -rf "$work"' EXIT
overlay "$work/chroot"
root=$work/chroot/root
mount --bind /proc "$root/proc"
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts"
in_chroot() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive HOME=/root "$@"; }

step 'both formats, both architectures, the same bytes twice'
for version in 1.0.0 1.1.0; do
  rm -f dist/intellidocs-agent[_-]*.deb dist/intellidocs-agent[_-]*.rpm
  examples/systemd/package.sh $version amd64 arm64
  mkdir -p "$work/$version"
  mv dist/intellidocs-agent[_-]*.deb dist/intellidocs-agent[_-]*.rpm "$work/$version/"
done
examples/systemd/package.sh 1.0.0 amd64
for package in dist/intellidocs-agent[_-]*.deb dist/intellidocs-agent[_-]*.rpm; do
  cmp "$package" "$work/1.0.0/$(basename "$package")" || fail "two builds of $package differ"
done
[ "$(find "$work/1.1.0" -type f | wc -l)" = 4 ] || fail "not four packages: $(ls "$work/1.1.0")"
step 'a release, its sums and what it is made of'
examples/binary/release.sh 1.0.0 linux_amd64
(cd dist/release && sha256sum --check --quiet SHA256SUMS)
[ "$(grep -c . dist/release/SHA256SUMS)" = 4 ] || fail "not an archive, two packages and a bill of materials: $(ls dist/release)"
cmp dist/release/intellidocs-agent_1.0.0_amd64.deb "$work/1.0.0/intellidocs-agent_1.0.0_amd64.deb" || fail 'the release has another package'
archive=intellidocs-agent_1.0.0_linux_amd64
tar -C "$work" -xzf "dist/release/$archive.tar.gz"
"$work/$archive/intellidocs-agent" version | grep -qF 1.0.0 || fail 'the archive has another version'
"$work/$archive/intellidocs-agent" check -c "$work/$archive/agent.toml.example"
grep -q '^.TH .*INTELLIDOCS-AGENT' "$work/$archive/man/intellidocs-agent.1" || fail 'the archive has no manual'
# Every module that was linked stands in the bill of materials.
go version -m "$work/$archive/intellidocs-agent" | awk '$1 == "dep" {print $2 "@" $3}' | while read -r module; do
  grep -qF "\"bom-ref\": \"pkg:golang/$module?" "dist/release/intellidocs-agent_1.0.0.cdx.json" || fail "$module is not in the bill of materials"
done
mkdir -p "$root/pkg"
cp -r "$work/1.0.0" "$work/1.1.0" "$root/pkg/"
deb() { echo "/pkg/$1/intellidocs-agent_$1_amd64.deb"; }
rpm_() { echo "/pkg/$1/intellidocs-agent-$1-1.x86_64.rpm"; }

queue() { # what a running agent would have left
  mkdir -p "$root/var/lib/private/intellidocs-agent"
  echo queue > "$root/var/lib/private/intellidocs-agent/MANIFEST"
}
present() { for p in "$@"; do [ -e "$root/$p" ] || fail "$p is missing"; done; }
absent() { for p in "$@"; do [ ! -e "$root/$p" ] || fail "$p is left"; done; }
own=(usr/bin/intellidocs-agent usr/lib/systemd/system/intellidocs-agent.service usr/share/man/man1/intellidocs-agent.1.gz
  usr/share/bash-completion/completions/intellidocs-agent usr/share/intellidocs-agent/intellidocs_events/apps.py
  usr/share/intellidocs-agent/agent.toml.example usr/share/intellidocs-agent/formats/homeassistant.tmpl usr/share/intellidocs-agent/configurations/README.md)
state=var/lib/private/intellidocs-agent/MANIFEST
config=etc/intellidocs-agent/agent.toml
secret=etc/intellidocs-agent/webhook_secret

# shellcheck disable=SC2086 # the arguments are commands
lifecycle() { # INSTALL UPGRADE REMOVE: the same promises for both formats
  step "$1"
  in_chroot $1
  present "${own[@]}" "$config" "$secret"
  [ "$(stat -c '%a %u' "$root/$secret")" = '600 0' ] || fail 'the secret is not for root alone'
  [ "$(stat -c %s "$root/$secret")" -ge 40 ] || fail 'the secret is short'
  in_chroot intellidocs-agent version | grep -qF 1.0.0 || fail 'wrong version'
  in_chroot intellidocs-agent check
  in_chroot systemd-analyze verify /usr/lib/systemd/system/intellidocs-agent.service
  queue
  echo '# mine' >> "$root/$config"
  cp "$root/$secret" "$work/secret"
  step "$2"
  in_chroot $2
  in_chroot intellidocs-agent version | grep -qF 1.1.0 || fail 'not upgraded'
  grep -q '^# mine' "$root/$config" || fail 'the upgrade took the configuration'
  cmp "$root/$secret" "$work/secret"
  present "$state"
  step "$3"
  in_chroot $3
  absent "${own[@]}"
  present "$state" "$secret"
}

lifecycle "apt-get install -y $(deb 1.0.0)" "apt-get install -y $(deb 1.1.0)" 'apt-get remove -y intellidocs-agent'
present "$config"
step 'purge'
in_chroot apt-get purge -y intellidocs-agent
absent "${own[@]}" "$state" "$config" "$secret" etc/intellidocs-agent

lifecycle "rpm -i --nodeps $(rpm_ 1.0.0)" "rpm -U --nodeps $(rpm_ 1.1.0)" 'rpm -e intellidocs-agent'
present "$config.rpmsave"
step 'the plain binary: the page, as written'
paperless "$root/opt/paperless"
mkdir -p "$root/build" "$root/root"
git ls-files -z | xargs -0 cp --parents -t "$root/build"
steps examples/binary/README.md > "$root/build/steps.sh"
cat >> "$root/build/steps.sh" << 'END'
. .ci/lib.sh
delivered() { ./intellidocs-agent deliveries -c ~/agent/agent.toml --json --status success | grep -q scan_completed; }
eventually 20 delivered
eventually 10 grep -q '^ *verified X-IntelliDocs-Signature' ~/agent/receiver.log
kill %2 && wait %2
kill %1
END
# Ports of its own; Go's caches are this machine's, seen through the overlay.
unshare --net sh -c "ip link set lo up && exec chroot '$root' env -i HOME=/root PATH='$(dirname "$(command -v go)"):/usr/sbin:/usr/bin:/sbin:/bin' \
  GOMODCACHE='$(go env GOMODCACHE)' GOCACHE='$(go env GOCACHE)' GOFLAGS=-buildvcs=false bash -c 'cd /build && set -m && . ./steps.sh'"

step 'packages: all well'
