#!/bin/sh
# dpkg: "remove" or "upgrade"; rpm: 0 when the last version goes, 1 when upgrading.
set -e
case "$1" in
  remove | 0)
    if [ -d /run/systemd/system ]; then
      systemctl disable --now intellidocs-agent.service || true
    fi
    ;;
esac
