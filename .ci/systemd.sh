#!/usr/bin/env bash
# The unit and the package under a systemd that really boots: .ci/systemd.sh
# (systemd-nspawn over this machine's root, nothing written is kept). Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/lib.sh

step 'the unit is valid and hardened'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin"
sed "s|/usr/bin/intellidocs-agent|/bin/true|; /^Documentation/d" examples/systemd/intellidocs-agent.service > "$work/intellidocs-agent.service"
systemd-analyze verify --recursive-errors=one "$work/intellidocs-agent.service"
systemd-analyze security --offline=true --threshold=20 --no-pager examples/systemd/intellidocs-agent.service | tail -1

step 'packages'
if [ -z "${PACKAGES:-}" ]; then # otherwise package.sh has left them there
  PACKAGES=$work/packages
  for version in 1.0.0 1.1.0; do
    rm -f dist/intellidocs-agent[_-]*.deb dist/intellidocs-agent[_-]*.rpm
    examples/systemd/package.sh $version
    mkdir -p "$PACKAGES/$version"
    mv dist/intellidocs-agent_"$version"_*.deb "$PACKAGES/$version/"
  done
fi

step 'boot'
overlay "$work/machine"
root=$work/machine/root
cleanup() {
  if [ -n "${nspawn:-}" ]; then
    pkill -KILL -P "$nspawn" || kill -KILL "$nspawn" 2> /dev/null || true
    wait "$nspawn" 2> /dev/null || true
  fi
  unoverlay "$work/machine"
  rm -rf "$work"
}
trap cleanup EXIT
rm -f "$root"/usr/sbin/policy-rc.d
mkdir -p "$root/try/dist" "$root/try/new"
cp -r examples .ci "$root/try/"
deb() { echo "$PACKAGES/$1/intellidocs-agent_$1_$(dpkg --print-architecture).deb"; }
cp "$(deb 1.0.0)" "$root/try/dist/"
cp "$(deb 1.1.0)" "$root/try/new/"
systemd-nspawn --directory="$root" --register=no --keep-unit --private-network --console=pipe --boot -- \
  --unit=basic.target > "$work/boot.log" 2>&1 < /dev/null &
nspawn=$!
# nspawn's first child only makes the second, which is the machine's init.
inside() { nsenter -t "$(pgrep -P "$nspawn" | tail -n 1)" -m -u -i -n -p -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive TERM=dumb "$@"; }
eventually 60 inside systemctl is-active basic.target

inside bash /try/.ci/systemd-inside.sh
step 'systemd: all well'
