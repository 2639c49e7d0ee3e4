#!/bin/sh
# Builds the program as it is released: build.sh OUTPUT VERSION [GOOS [GOARCH [FLAG…]]]
# Archives, packages and the image all have it from here. The same commit gives the same bytes.
set -eu
output=$1 version=$2 os=${3:-$(go env GOHOSTOS)} arch=${4:-$(go env GOHOSTARCH)}
shift $(($# < 4 ? $# : 4))
CGO_ENABLED=0 GOOS=$os GOARCH=$arch GOARM=7 go build -trimpath -buildvcs=false "$@" \
  -ldflags "-s -w -buildid= -X main.version=$version" -o "$output" ./cmd/intellidocs-agent
