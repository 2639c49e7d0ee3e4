#!/bin/sh
# Called by webhook with the webhook-id and the event's type, once the signature is right.
# A directory is made by one caller only, which is how a repeat is told.
set -eu
case $1 in evt_*[!0-9a-f]* | '') exit 1 ;; evt_*) ;; *) exit 1 ;; esac
mkdir -p "${SEEN:=/var/tmp/intellidocs-seen}"
mkdir "$SEEN/$1" 2> /dev/null || exit 0
find "$SEEN" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rmdir {} +
echo "processed $1 $2"
