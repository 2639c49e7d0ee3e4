# shellcheck shell=bash
# Shared by the scripts that try the examples; to be sourced.

# steps FILE: the commands of a page's "First event", as they stand there.
steps() {
  awk '
    /^## / { on = /First event/ }
    on && !code && /^ *```sh$/ { code = 1; match($0, /^ */); indent = RLENGTH; next }
    code && /^ *```$/ { code = 0; next }
    code { print substr($0, indent + 1) }
  ' "$1"
}

# step TEXT: says what comes next.
step() { printf '\n-- %s (%s)\n' "$1" "$(date +%T)"; }

# fail TEXT: says why and ends.
fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# eventually SECONDS COMMAND…: runs the command until it succeeds.
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" > /tmp/eventually.$$ 2>&1; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      cat /tmp/eventually.$$ >&2
      fail "never came true: $*"
    fi
    sleep 0.2
  done
  rm -f /tmp/eventually.$$
}

# overlay DIR: this machine's root at DIR/root; what is written there goes to memory.
overlay() {
  mkdir -p "$1/upper" "$1/root"
  mount -t tmpfs -o size=2g tmpfs "$1/upper"
  mkdir "$1/upper/up" "$1/upper/work"
  mount -t overlay -o "lowerdir=/,upperdir=$1/upper/up,workdir=$1/upper/work" overlay "$1/root"
}

# unoverlay DIR: takes it away again.
unoverlay() {
  umount -R "$1/root" 2> /dev/null || umount -l "$1/root" || true
  umount "$1/upper" 2> /dev/null || umount -l "$1/upper" || true
  rm -rf "$1"
}

# paperless DIR: a stand-in for a bare-metal IntelliDocs at DIR.
paperless() {
  mkdir -p "$1"
  cp -r examples/intellidocs/tests/standin "$1/src"
  mkdir -p "$1/data/log"
}
