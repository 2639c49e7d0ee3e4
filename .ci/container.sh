#!/usr/bin/env bash
# The image, the compose file and the Kubernetes manifests, tried with podman: .ci/container.sh
# Needs root. Everything runs in a network namespace of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${CONTAINER_SH_INSIDE:-}" ]; then
  exec env CONTAINER_SH_INSIDE=1 unshare --net bash "$0" "$@"
fi
ip link set lo up
. .ci/lib.sh

work=$(mktemp -d)
mkdir -p "$work/storage"
cat > "$work/containers.conf" << 'END'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
# A storage of its own: what else podman keeps on this machine is not touched.
cat > "$work/storage.conf" << END
[storage]
driver = "overlay"
graphroot = "$work/storage/graph"
runroot = "$work/storage/run"
END
export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
machine=
cleanup() {
  status=$?
  if [ $status != 0 ]; then
    for name in agent receiver webserver; do
      echo "== $name"
      podman logs "$name" 2>&1 | tail -n 40 || true
    done
  fi
  podman rm -fa -t 0 > /dev/null 2>&1 || true
  podman volume rm -fa > /dev/null 2>&1 || true
  [ -z "$machine" ] || unoverlay "$machine"
  umount "$work/storage/graph/overlay" 2> /dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

step 'compose and Kubernetes files, by their own loaders'
(cd .ci/manifests && go vet ./... && go test -count=1 ./... && go build -o "$work/podman" ./podman)
export SHIM_PODMAN=$work/podman

step 'the image is reproducible, for both architectures'
id() { podman image inspect --format '{{.Digest}}' "$1"; }
build() { "${@:2}" examples/container/build.sh "$1" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }; }
build first env FORMAT=oci
rm -rf dist/rootfs-*
build second env FORMAT=oci
[ "$(id first)" = "$(id second)" ] || fail "two builds of the same commit differ: $(id first) $(id second)"
build one env
build many env ARCHS='amd64 arm64'
[ "$(buildah manifest inspect many | grep -cE '"architecture": "(amd64|arm64)"')" = 2 ] || fail 'not two architectures'
qemu-aarch64-static dist/rootfs-arm64/root/usr/bin/intellidocs-agent demo --once > "$work/arm64" 2>&1 || { cat "$work/arm64"; fail 'the arm64 program does not run'; }
file=$(podman image inspect --format '{{.Config.User}} {{.Config.Healthcheck.Test}} {{.Config.Entrypoint}}' one)
[ "$file" = '1000:1000 [CMD /usr/bin/intellidocs-agent healthcheck] [/usr/bin/intellidocs-agent]' ] || fail "image: $file"
size=$(podman image inspect --format '{{.Size}}' one)
[ "$size" -lt $((64 << 20)) ] || fail "the image has $size bytes"

# A stand-in for IntelliDocs' image: this machine's root with the stand-in application.
machine=$work/machine
overlay "$machine"
export STANDIN=$machine/root
mkdir -p "$STANDIN/usr/src/paperless/data"
cp -r examples/intellidocs/tests/standin "$STANDIN/usr/src/paperless/src"

delivered() { [ "$(podman exec agent intellidocs-agent deliveries --json --limit 0 --status success | wc -l)" = "$1" ]; }
verified() { [ "$(podman logs receiver 2>&1 | grep -c '^ *verified X-IntelliDocs-Signature')" -ge "$1" ]; }
healthy() { podman exec agent intellidocs-agent healthcheck; }
emit() { # FIRST COUNT
  podman exec --user 1000:1000 --env PAPERLESS_DATA_DIR=/usr/src/paperless/data --env PAPERLESS_AI_EVENTS_FILE_MAX_BYTES=1000000 webserver \
    /usr/bin/python3 scanner.py "$2" --first "$1"
}
page() { # DIR [WHERE]: where it is followed, if not in its own directory
  steps "$work/tree/examples/$1/README.md" > "$work/steps.sh"
  (cd "${2:-$work/tree/examples/$1}" && PATH=$work/tree/.ci/shims:$PATH bash -euo pipefail "$work/steps.sh")
  eventually 30 delivered 1
  eventually 10 verified 1
}
fresh() { # a tree to follow the pages in, so that this one stays clean
  rm -rf "$work/tree"
  mkdir -p "$work/tree"
  git ls-files -z | xargs -0 cp --parents -t "$work/tree"
  export OBJECTS=$work/objects SOURCE_DATE_EPOCH=1700000000
}

step 'compose: the page, as written'
fresh
page compose

step 'compose: no rights, read-only, 64 MiB, a health check without a shell'
eventually 30 healthy
podman healthcheck run agent
[ "$(podman inspect --format '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Memory}} {{.EffectiveCaps}}' agent)" = '1000:1000 true 67108864 []' ] ||
  fail "the agent runs with $(podman inspect --format '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.Memory}} {{.EffectiveCaps}}' agent)"

step 'compose: four processes, rotation, SIGKILL in the middle: every event arrives, verified'
for n in 1 2 3 4; do emit $((n * 10000)) 1000 & writers="${writers:-} $!"; done
eventually 60 verified 200
podman kill --signal KILL agent > /dev/null
podman start agent > /dev/null
# shellcheck disable=SC2086
for writer in $writers; do wait "$writer"; done
podman exec webserver ls /usr/src/paperless/data/log/ai_webhooks.log.1 > /dev/null || fail 'the log did not rotate'
eventually 180 delivered 4001
[ "$(podman inspect --format '{{.State.OOMKilled}}' agent)" = false ] || fail 'out of memory'

step 'compose: stop is clean and takes less than its grace period'
podman stop -t 20 agent > /dev/null
[ "$(podman inspect --format '{{.State.ExitCode}}' agent)" = 0 ] || fail "exit code $(podman inspect --format '{{.State.ExitCode}}' agent)"
podman rm -fa -t 0 > /dev/null
podman volume rm -fa > /dev/null

step 'compose, beside IntelliDocs as it is shipped: the page, as written'
fresh
theirs=$work/IntelliDocs/docker/compose
mkdir -p "$theirs"
cp .ci/shipped/* "$theirs"
ln -s "$work/tree" "$work/intellidocs-agent"
page compose/shipped "$theirs"
for file in .ci/shipped/*; do cmp "$file" "$theirs/${file##*/}" || fail "the page changed $file"; done
[ -f "$theirs/data/log/ai_webhooks.log" ] || fail 'the events are not in ./data/log'
podman exec webserver sh -c 'echo "$PAPERLESS_TIME_ZONE $PAPERLESS_APPS"' | grep -q '^Europe/Madrid intellidocs_events' || fail 'the environments were not joined'
podman rm -fa -t 0 > /dev/null
podman volume rm -fa > /dev/null

step 'Kubernetes: the page, as written'
fresh
page kubernetes
code() { [ "$(curl -s -o /dev/null -w '%{http_code}' "${@:2}")" = "$1" ]; }
eventually 30 code 200 http://127.0.0.1:9723/healthz
eventually 30 code 200 http://127.0.0.1:9723/readyz
code 401 http://127.0.0.1:9723/api/v1/deliveries || fail 'the API answers without the token'
code 200 -H "Authorization: Bearer $(cat "$work/tree/examples/kubernetes/secrets/admin_token")" http://127.0.0.1:9723/api/v1/deliveries ||
  fail 'the API refuses the token'
emit 100 50
eventually 30 delivered 51

step 'container: all well'
