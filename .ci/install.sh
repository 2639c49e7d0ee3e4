#!/usr/bin/env bash
# Installs what the checks need: Debian packages, Go tools, npm packages, all at once.
# Writes env.sh into the cache, which tells tests where things are.
set -euo pipefail
cd "$(dirname "$0")/.."

debian() {
  local wanted missing=()
  mapfile -t wanted < <(grep -v '^#' .ci/apt-packages.txt)
  for p in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$p" 2> /dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} = 0 ] && return
  # Services that packages would start have no business on a machine that only tests.
  [ -e /usr/sbin/policy-rc.d ] || printf '#!/bin/sh\nexit 101\n' | install -m 755 /dev/stdin /usr/sbin/policy-rc.d
  apt-get update
  apt-get install -y --no-install-recommends "${missing[@]}"
}

modules() {
  go mod download
  (cd .ci/manifests && go mod download)
  command -v gofumpt > /dev/null || go install mvdan.cc/gofumpt@v0.12.0 || go install mvdan.cc/gofumpt@latest
  command -v staticcheck > /dev/null || go install honnef.co/go/tools/cmd/staticcheck@latest
}

npm_packages() {
  mkdir -p "$node"
  local packages=(standardwebhooks@1.1.1 svix@1.99.1 @discordjs/builders@1.13.0 adaptivecards@3.0.5 cloudevents@10.0.0 @taplo/cli@0.7.0) p
  for p in "${packages[@]}"; do
    [ -d "$node/node_modules/${p%@*}" ] || { npm install --silent --no-audit --no-fund --prefix "$node" "${packages[@]}"; return; }
  done
}

# Django as newer IntelliDocs have it, from Debian's backports, unpacked and not installed.
# apt gets lists of its own: nothing of this machine's is changed.
djangos() {
  local suite apt=$django/apt keys=/usr/share/keyrings/debian-archive-keyring.gpg
  [ ! -d "$django/bookworm" ] || [ ! -d "$django/trixie" ] || return 0
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  for suite in bookworm-backports trixie trixie-backports; do
    echo "deb [signed-by=$keys arch=amd64] http://deb.debian.org/debian $suite main"
  done > "$apt/sources.list"
  local options=(-o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$apt/lists"
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=3)
  apt-get "${options[@]}" update
  for suite in bookworm trixie; do
    rm -rf "${django:?}/$suite.tmp" && mkdir "$django/$suite.tmp"
    (cd "$django/$suite.tmp" && apt-get "${options[@]}" download "python3-django/$suite-backports" python3-asgiref/trixie python3-sqlparse/trixie)
    for deb in "$django/$suite.tmp"/*.deb; do dpkg-deb -x "$deb" "$django/$suite.tmp"; done
    mv "$django/$suite.tmp" "$django/$suite"
  done
}

env=${XDG_CACHE_HOME:-$HOME/.cache}/intellidocs-agent-ci/env.sh
node=${XDG_CACHE_HOME:-$HOME/.cache}/intellidocs-agent-node
django=${XDG_CACHE_HOME:-$HOME/.cache}/intellidocs-agent-django
debian & d=$!
modules & m=$!
npm_packages & n=$!
djangos & j=$!
wait $d
wait $m
wait $n
wait $j
mkdir -p "$(dirname "$env")"
cat > "$env" << END
export INTELLIDOCS_NODE_MODULES=$node/node_modules
export INTELLIDOCS_DJANGOS=$django/bookworm/usr/lib/python3/dist-packages:$django/trixie/usr/lib/python3/dist-packages
END
