#!/bin/sh
# dpkg: "configure" and the version before, empty at the first installation; rpm: 1, or 2 when upgrading.
set -e
secret=/etc/intellidocs-agent/webhook_secret

case "$1" in
  configure | 1 | 2) ;;
  *) exit 0 ;;
esac

# The unit loads this file, so there must be one; a random secret is a good one to begin with.
if [ ! -e "$secret" ]; then
  value=$(head -c 32 /dev/urandom | base64)
  if [ ${#value} -lt 44 ]; then
    echo "intellidocs-agent: no randomness for $secret (is /dev/urandom there?): write a secret into it, then configure the package again" >&2
    exit 1
  fi
  (umask 077 && echo "$value" > "$secret")
fi

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
# After an upgrade continue with the new binary; the queue is in the state directory and stays.
systemctl try-restart intellidocs-agent.service

if [ "$1" = 1 ] || { [ "$1" = configure ] && [ -z "$2" ]; }; then
  echo "intellidocs-agent: edit /etc/intellidocs-agent/agent.toml, then: systemctl enable --now intellidocs-agent"
fi
