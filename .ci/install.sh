#!/usr/bin/env bash
# Installs what the checks need: Debian packages, Go tools, npm packages, all at once.
# Writes .ci/env.sh, which tells tests where things are.
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
  [ -d "$node/node_modules/svix" ] || npm install --silent --no-audit --no-fund --prefix "$node" standardwebhooks@1.1.1 svix@1.99.1
}

node=${XDG_CACHE_HOME:-$HOME/.cache}/intellidocs-agent-node
debian & d=$!
modules & m=$!
npm_packages & n=$!
wait $d
wait $m
wait $n
echo "export INTELLIDOCS_NODE_MODULES=$node/node_modules" > .ci/env.sh
