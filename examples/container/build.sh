#!/bin/sh
# Builds the image without any base image, with buildah (or docker where there is none):
#
#     examples/container/build.sh [TAG]              for this machine
#     ARCHS="amd64 arm64" examples/container/build.sh [TAG]   TAG becomes a manifest list
#
# The same commit builds the same layers: files carry the commit's time. With FORMAT=oci the
# image's digest is the same too, but that format knows no health check; buildah writes a
# random number into docker's.
set -eu
cd "$(dirname "$0")/../.."
tag=${1:-intellidocs-agent}
archs=${ARCHS:-$(go env GOARCH)}
version=${VERSION:-$(git describe --tags --always --dirty 2>/dev/null || echo devel)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

many=
[ "$(echo "$archs" | wc -w)" = 1 ] || many=yes
if command -v buildah > /dev/null && [ -n "$many" ]; then
  buildah manifest rm "$tag" > /dev/null 2>&1 || true
  buildah manifest create "$tag" > /dev/null
fi

for arch in $archs; do
  examples/container/rootfs.sh "$arch" "$PWD/dist/rootfs-$arch" "$version"
  if command -v buildah > /dev/null; then
    target="--tag $tag"
    [ -z "$many" ] || target="--manifest $tag"
    # shellcheck disable=SC2086
    buildah build --format "${FORMAT:-docker}" --layers=false --timestamp "$SOURCE_DATE_EPOCH" \
      --file examples/container/Dockerfile --ignorefile examples/container/Dockerfile.dockerignore \
      --target prebuilt --os linux --arch "$arch" \
      --build-arg TARGETARCH="$arch" --build-arg VERSION="$version" $target .
  else
    docker buildx build --provenance=false --platform "linux/$arch" --file examples/container/Dockerfile \
      --target prebuilt --build-arg VERSION="$version" --load --tag "$tag${many:+:$arch}" .
  fi
done
