#!/bin/sh
# Lays out the image's file system: rootfs.sh ARCH DIR [VERSION]
# DIR/root belongs to root, DIR/state to the agent.
# The Dockerfile's build stage and build.sh both call it, so both give the same image.
set -eu
arch=$1 dir=$2 version=${3:-}
top=$(cd "$(dirname "$0")/../.." && pwd)

rm -rf "$dir"
root=$dir/root
mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$root/etc/intellidocs-agent" "$root/var/lib"
# timetzdata: the time zones are in the binary.
(cd "$top" && examples/binary/build.sh "$root/usr/bin/intellidocs-agent" "$version" linux "$arch" -tags timetzdata)
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'agent:x:1000:1000::/var/lib/intellidocs-agent:/sbin/nologin' > "$root/etc/passwd"
echo 'agent:x:1000:' > "$root/etc/group"
chmod -R u=rwX,go=rX "$dir"
# Apart, because it is the agent's own: a new volume mounted on it takes over its owner and mode.
install -d -m 0700 "$dir/state/intellidocs-agent"
