#!/bin/sh
# Only dpkg's "purge" takes the state, the queue with undelivered events included, and the
# secrets. "remove", and rpm always, leaves them: rpm -e says nothing about wanting them gone.
set -e
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload || true
fi
if [ "$1" = purge ]; then
  rm -rf /var/lib/private/intellidocs-agent
  # A symbolic link of systemd's (DynamicUser=), or the directory itself.
  rm -rf /var/lib/intellidocs-agent
  rm -rf /etc/intellidocs-agent
fi
