#!/bin/sh
# dpkg: "remove" or "upgrade"; rpm: 0 when the last version goes, 1 when upgrading.
set -e
case "$1" in
  remove | 0)
    echo "intellidocs-agent: where IntelliDocs' PAPERLESS_APPS names intellidocs_events, take that out: without this package it would not start"
    if [ -d /run/systemd/system ]; then
      systemctl disable --now intellidocs-agent.service || true
    fi
    ;;
esac
