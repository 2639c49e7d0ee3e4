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
examples/systemd/package.sh 1.0.0
mkdir -p "$work/new"
cp dist/intellidocs-agent_1.0.0_*.deb "$work/"
rm -f dist/intellidocs-agent[_-]*.deb dist/intellidocs-agent[_-]*.rpm
examples/systemd/package.sh 1.1.0
mv dist/intellidocs-agent_1.1.0_*.deb "$work/new/"
cp "$work"/intellidocs-agent_1.0.0_*.deb dist/

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
cp dist/intellidocs-agent_1.0.0_*.deb "$root/try/dist/"
cp "$work"/new/*.deb "$root/try/new/"
systemd-nspawn --directory="$root" --register=no --keep-unit --private-network --console=pipe --boot -- \
  --unit=basic.target > "$work/boot.log" 2>&1 < /dev/null &
nspawn=$!
# nspawn's first child only makes the second, which is the machine's init.
inside() { nsenter -t "$(pgrep -P "$nspawn" | tail -n 1)" -m -u -i -n -p -- env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive TERM=dumb "$@"; }
eventually 60 inside systemctl is-active basic.target

inside bash /try/.ci/systemd-inside.sh
step 'systemd: all well'
