#!/usr/bin/env bash
# The part of systemd.sh that runs in the booted machine.
set -euo pipefail
cd /try
. .ci/lib.sh
unit=intellidocs-agent
trap '[ $? = 0 ] || { systemctl status --no-pager -l $unit; journalctl --no-pager -n 60 -u $unit; journalctl --no-pager -n 20 -u receiver; }' EXIT

# A bare-metal IntelliDocs of the user paperless, readable for its group alone.
useradd --system --home-dir /opt/paperless paperless
paperless /opt/paperless
chown -R paperless: /opt/paperless
chmod 0750 /opt/paperless /opt/paperless/data /opt/paperless/data/log
cat > /usr/local/bin/sudo << 'END'
#!/bin/sh
[ "$1" != -u ] || { user=$2; shift 2; exec runuser -u "$user" -- "$@"; }
exec "$@"
END
chmod +x /usr/local/bin/sudo

step 'the page, as written'
steps examples/systemd/README.md > /tmp/steps.sh
(umask 022 && bash -euo pipefail /tmp/steps.sh)
delivered() { intellidocs-agent deliveries --json --limit 0 --status success | wc -l; }
is_delivered() { [ "$(delivered)" = "$1" ]; }
verified() { [ "$(journalctl -u receiver -o cat | grep -c '^ *verified X-IntelliDocs-Signature')" -ge "$1" ]; }
eventually 20 is_delivered 1
eventually 20 verified 1

emit() { # FIRST COUNT
  runuser -u paperless -- env PAPERLESS_DATA_DIR=/opt/paperless/data PAPERLESS_APPS=intellidocs_events.apps.EventsConfig \
    PAPERLESS_AI_EVENTS_FILE_MAX_BYTES=1000000 \
    python3 /opt/paperless/src/scanner.py "$2" --first "$1"
}
show() { systemctl show -P "$1" $unit; }
receiver() { systemd-run -q --unit=receiver intellidocs-agent listen 127.0.0.1:9000 --secret-file /etc/intellidocs-agent/webhook_secret; }
restarted_since() { [ "$(show NRestarts)" -gt "$1" ] && [ "$(show ActiveState)" = active ]; }

step 'ready was told, not guessed; nobody special runs it'
[ "$(show Type)" = notify ] || fail 'not Type=notify'
[ -n "$(show StatusText)" ] || fail 'no status text'
pid=$(show MainPID)
[ "$(stat -c %u "/proc/$pid")" -ge 61184 ] || fail 'not a dynamic user'
[ "$(grep ^CapEff "/proc/$pid/status" | cut -f2)" = 0000000000000000 ] || fail 'it has capabilities'

step 'the secret is in no place people can see'
secret=$(cat /etc/intellidocs-agent/webhook_secret)
[ "$(stat -c %a /etc/intellidocs-agent/webhook_secret)" = 600 ] || fail 'the secret is readable'
! { tr '\0' '\n' < "/proc/$pid/environ"; tr '\0' '\n' < "/proc/$pid/cmdline"; systemctl show $unit; journalctl -o cat -u $unit; } | grep -qF "$secret" ||
  fail 'the secret shows'

step 'reload'
cat >> /etc/intellidocs-agent/agent.toml << 'END'
retry_delay = 1
max_retries = 1000
breaker_failures = 0
END
systemctl reload $unit
[ "$(show MainPID)" = "$pid" ] || fail 'a reload must not restart'
sed -i 's/^breaker_failures = 0/breaker_failures = "many"/' /etc/intellidocs-agent/agent.toml
systemctl reload $unit || true
eventually 10 sh -c "journalctl -o cat -u $unit | grep -q breaker_failures"
sed -i 's/^breaker_failures = .*/breaker_failures = 0/' /etc/intellidocs-agent/agent.toml
systemctl reload $unit
[ "$(show MainPID)" = "$pid" ] || fail 'a broken configuration must not stop it'
[ "$(show ActiveState)" = active ] || fail 'not active after a reload'

step 'SIGKILL with events undelivered: all arrive after the restart'
systemctl stop receiver
emit 100 60
queued() { [ "$(intellidocs-agent deliveries --json --limit 0 | wc -l)" = "$1" ]; }
eventually 30 queued 61
before=$(show NRestarts)
systemctl kill --kill-whom=main --signal=KILL $unit
eventually 30 restarted_since "$before"
receiver
eventually 60 is_delivered 61

step 'a hung agent is restarted by the watchdog'
mkdir -p /run/systemd/system/$unit.service.d
printf '[Service]\nWatchdogSec=3s\nTimeoutAbortSec=1s\n' > /run/systemd/system/$unit.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart $unit
before=$(show NRestarts)
emit 200 20
kill -STOP "$(show MainPID)"
eventually 60 restarted_since "$before"
eventually 30 sh -c "journalctl -o cat -u $unit | grep -qi 'watchdog timeout'"
eventually 60 is_delivered 81

step 'the log rotates under it'
emit 1000 3000
[ -e /opt/paperless/data/log/ai_webhooks.log.1 ] || fail 'the log did not rotate'
eventually 120 is_delivered 3081

step 'upgrade with events undelivered: queue and configuration stay'
systemctl stop receiver
emit 5000 40
eventually 30 queued 3121
apt-get install -y ./new/*.deb
eventually 30 sh -c "[ \"\$(systemctl show -P ActiveState $unit)\" = active ]"
intellidocs-agent version | grep -qF 1.1.0 || fail 'not upgraded'
grep -q '^max_retries = 1000' /etc/intellidocs-agent/agent.toml || fail 'the upgrade took the configuration'
receiver
eventually 60 is_delivered 3121
[ "$secret" = "$(cat /etc/intellidocs-agent/webhook_secret)" ] || fail 'the upgrade changed the secret'

step 'root may look into the state of a stopped service'
systemctl stop $unit
tr -d '\n' < examples/events/scan_completed.json > /tmp/one.log
intellidocs-agent ingest /tmp/one.log
systemctl start $unit
eventually 30 is_delivered 3122

step 'stop is clean, removal leaves the queue, purge takes it'
systemctl stop $unit
[ "$(show Result)" = success ] || fail "stopped with $(show Result)"
apt-get remove -y intellidocs-agent
! systemctl is-active -q $unit || fail 'still running'
[ -d /var/lib/private/intellidocs-agent ] || fail 'removal took the queue'
[ -f /etc/intellidocs-agent/agent.toml ] || fail 'removal took the configuration'
apt-get purge -y intellidocs-agent
for left in /var/lib/private/intellidocs-agent /var/lib/intellidocs-agent /etc/intellidocs-agent /usr/bin/intellidocs-agent; do
  [ ! -e $left ] || fail "purge left $left"
done
