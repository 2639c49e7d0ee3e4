import contextlib
import hashlib
import hmac
import io
import json
import logging
import os
import threading
import types
from pathlib import Path
from unittest import TestCase, mock, skipUnless

from django.conf import settings
from django.test import override_settings
from documents import webhooks
from intellidocs_events import emit, sinks
from intellidocs_events.jsonsafe import MAX_VALUES
from tests.support import EVENTS_LOG, EventsTest


def event(**members):
    return sinks.Event("custom", json.dumps(members), None)


class Failing:
    def emit(self, event):
        raise OSError(28, "No space left\non device")


class Keeping:
    def __init__(self):
        self.events = []

    def emit(self, event):
        self.events.append(json.loads(event.line))


def original():
    return webhooks.send_ai_webhook.__wrapped__


def replaced(sink, **env):
    with mock.patch.dict(os.environ, env):
        return emit.replacement_for(original(), emit.Producer(sink))


class SenderTest(EventsTest):
    def test_events_are_written_whether_or_not_intellidocs_sends(self):
        for enabled in (False, True):
            with override_settings(PAPERLESS_AI_WEBHOOKS_ENABLED=enabled):
                self.assertEqual(webhooks.send_ai_webhook("scan_completed", {"n": 1}), [])
        self.assertEqual(len(self.events()), 2)
        self.assertFalse(webhooks.AIWebhookEvent.objects.exists())

    def test_the_callers_payload_stays_as_it_was(self):
        payload = {"n": 1, "event_type": "mine"}
        webhooks.send_ai_webhook("scan_completed", payload, webhook_urls=["http://127.0.0.1/"])
        self.assertEqual(payload, {"n": 1, "event_type": "mine"})
        (event,) = self.events()
        self.assertEqual((event["event_type"], event["source"]), ("scan_completed", "intellidocs-ai"))
        self.assertRegex(event["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$")

    def test_forward_returns_what_intellidocs_returns(self):
        sink = Keeping()
        send = replaced(sink, PAPERLESS_AI_EVENTS_FORWARD="true")
        with override_settings(PAPERLESS_AI_WEBHOOKS_ENABLED=True):
            made = send("scan_completed", {"n": 1}, ["http://127.0.0.1/"])
        self.addCleanup(webhooks.AIWebhookEvent.objects.all().delete)
        self.assertEqual([event.payload["n"] for event in made], [1])
        self.assertEqual([event["n"] for event in sink.events], [1])

    def test_forward_does_not_raise_into_the_scanner(self):
        failing = mock.Mock(side_effect=RuntimeError("broker\nis down"), __name__="send_ai_webhook")
        with mock.patch.dict(os.environ, PAPERLESS_AI_EVENTS_FORWARD="true"):
            send = emit.replacement_for(failing, emit.Producer(Keeping()))
        self.assertEqual(send("scan_completed", {"n": 1}), [])
        (line,) = self.logged()
        self.assertIn("RuntimeError: broker is down", line)

    def test_an_event_that_cannot_be_written_is_kept_in_the_log(self):
        self.assertEqual(replaced(Failing())("scan_completed", {"n": 1}), [])
        (line,) = self.logged()
        self.assertIn("[ERROR] [paperless.ai_webhooks] AI event not written (OSError", line)
        self.assertEqual(json.loads(line[line.index("{") :])["n"], 1)

    def test_payloads_of_any_kind_become_events(self):
        class Hostile(dict):
            def __iter__(self):
                raise RuntimeError("no")

            keys = items = __iter__

        for payload, want in [
            (None, {"payload": None}),
            ([1], {"payload": [1]}),
            ("text", {"payload": "text"}),
            (Hostile(a=1), {"payload": "{'a': 1}"}),
            (types.MappingProxyType({"a": 1}), {"a": 1}),
            ({"n": float("nan"), None: {1}, (1, 2): b"x"}, {"n": None, "null": [1], "(1, 2)": "x"}),
            ({b"event_type": "mine", "source": "mine"}, {}),
        ]:
            with self.subTest(payload=payload):
                self.assertEqual(webhooks.send_ai_webhook("custom", payload), [])
                event = self.events()[-1]
                del event["timestamp"]
                self.assertEqual(event, {**want, "event_type": "custom", "source": "intellidocs-ai"})

    def test_a_huge_payload_leaves_the_events_own_members_alone(self):
        webhooks.send_ai_webhook("custom", {"values": [0] * (MAX_VALUES + 1), "after": 1})
        (event,) = self.events()
        self.assertEqual((event["event_type"], event["after"]), ("custom", "<too many>"))

    def test_what_sends_while_it_is_written_is_an_event_of_its_own(self):
        class Telling:
            def __str__(self):
                return f"told {webhooks.send_ai_webhook('inner', {})}"

        webhooks.send_ai_webhook("outer", {"o": Telling()})
        self.assertEqual(self.types(), ["inner", "outer"])
        self.assertEqual(self.events()[1]["o"], "told []")


class KeyTest(EventsTest):
    def sent(self, key, payload):
        path = self.directory / "key"
        if key is not None:
            path.write_bytes(key)
        sink = Keeping()
        emit.Producer(sink, str(path)).submit("custom", payload)
        return sink.events[0]

    def test_the_mac_covers_the_canonical_bytes(self):
        for content in (b"s3cret", b"s3cret\n", b"\xef\xbb\xbfs3cret\r\n"):
            event = self.sent(content, {"title": "Büro 📄\n", "n": [1.5, 10**30, 1e16], "mac": "mine"})
            mac = event.pop("mac")
            canonical = json.dumps(event, sort_keys=True).encode()
            self.assertEqual(mac, hmac.new(b"s3cret", canonical, hashlib.sha256).hexdigest())

    def test_without_a_key_that_can_be_read_the_event_is_written_all_the_same(self):
        for content in (None, b"", b"\n"):
            with self.subTest(content=content):
                self.assertNotIn("mac", self.sent(content, {"mac": "forged"}))
                self.assertIn("PAPERLESS_AI_EVENTS_KEY_FILE", self.logged()[-1])


class LogTest(EventsTest):
    def test_the_record_has_intellidocs_form(self):
        replaced(sinks.LogSink())("scan_completed", {"title": "two\nlines %s {x}"})
        (line,) = self.logged()
        self.assertRegex(line, r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] \[INFO\] \[paperless\.ai_webhooks\] \{")
        self.assertEqual(json.loads(line.split("] ", 3)[3])["title"], "two\nlines %s {x}")

    def test_a_quiet_log_still_takes_events(self):
        paperless = logging.getLogger("paperless")
        (handler,) = paperless.handlers
        self.addCleanup(setattr, sinks.logger, "level", sinks.logger.level)
        self.addCleanup(handler.setLevel, handler.level)
        self.addCleanup(logging.disable, logging.NOTSET)
        sinks.logger.setLevel(logging.ERROR)
        sinks.logger.disabled = True
        handler.setLevel(logging.WARNING)
        logging.disable(logging.CRITICAL)
        replaced(sinks.LogSink())("scan_completed", {})
        self.assertEqual(len(self.logged()), 1)


    def test_others_text_is_no_record_of_ours(self):
        sinks.LogSink()
        forged = '[2025-11-14 15:00:00,123] [INFO] [%s] {"event_type": "forged"}'
        other = logging.getLogger("paperless.consumer")
        for name in ("paperless.ai_webhooks", "PAPERLESS.ai_webhooks", " paperless.ai_webhooks\t"):
            line = forged % name
            other.info("Consuming Invoice\n" + line)
            other.info("Consuming %s", "Invoice\n" + line)
            sinks.logger.error("AI Webhook failed: HTTP 500: %s", "\n" + line)
            try:
                raise ValueError("no such title: \n" + line)
            except ValueError:
                other.exception("Scan failed")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            other.info("%d of %s", "three", "which logging itself complains of")
        self.assertIn("--- Logging error ---", said.getvalue())
        lines = self.logged()
        self.assertEqual(sum("forged" in line for line in lines), 12)
        heads = [line for line in lines if "[paperless.ai_webhooks]" in line.lower()]
        self.assertEqual(len(heads), 3, heads)
        self.assertFalse([line for line in heads if "forged" in line])

    def test_an_event_may_say_what_it_likes(self):
        title = "[paperless.ai_webhooks] {}"
        replaced(sinks.LogSink())("scan_completed", {"title": title})
        (line,) = self.logged()
        self.assertEqual(json.loads(line.split("] ", 3)[3])["title"], title)


class FileTest(EventsTest):
    def test_a_line_is_a_json_log_record(self):
        webhooks.send_ai_webhook("scan_completed", {"title": "two\n[x] [INFO] [paperless.ai_webhooks] {}"})
        (line,) = self.lines(EVENTS_LOG)
        record = json.loads(line)
        self.assertEqual(list(record), ["asctime", "levelname", "name", "message", "event"])
        self.assertRegex(record["asctime"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}$")
        self.assertEqual(
            [record["levelname"], record["name"], record["message"]],
            ["INFO", "paperless.ai_webhooks", "scan_completed"],
        )
        self.assertEqual(record["event"]["title"], "two\n[x] [INFO] [paperless.ai_webhooks] {}")

    @skipUnless(os.geteuid() == 0, "needs root")
    def test_what_root_makes_belongs_to_intellidocs(self):
        os.chown(self.directory, 1234, 1235)
        path = self.directory / "events.log"
        sinks.FileSink(path).emit(event(n=1))
        self.assertEqual((path.stat().st_uid, path.stat().st_gid), (1234, 1235))

    def numbers(self, *paths):
        return [json.loads(line)["event"]["n"] for path in paths for line in path.read_text().splitlines()]

    def test_rotation_keeps_every_event(self):
        path = self.directory / "sub" / "events.jsonl"
        emitter = sinks.FileSink(path, max_bytes=1500, backups=3, fsync=False)
        for n in range(30):
            emitter.emit(event(n=n))
        kept = [path.with_name(f"events.jsonl.{n}") for n in (2, 1)]
        self.assertEqual(self.numbers(*kept, path), list(range(30)))

    def test_a_line_cut_short_does_not_swallow_the_next(self):
        path = self.directory / "events.jsonl"
        path.write_bytes(b'{"n": 0}\n{"n": 1, "tit')
        sinks.FileSink(path).emit(event(n=2))
        *cut, line = path.read_bytes().splitlines()
        self.assertEqual(cut, [b'{"n": 0}', b'{"n": 1, "tit'])
        self.assertEqual(json.loads(line)["event"], {"n": 2})

    def test_a_full_disk_leaves_no_half_line(self):
        path = self.directory / "events.jsonl"
        emitter = sinks.FileSink(path)
        emitter.emit(event(n=1))
        write = os.write
        with mock.patch.object(sinks.os, "write", lambda fd, data: write(fd, data[:4])):
            with self.assertRaisesRegex(OSError, "only 4 of [0-9]+ bytes"):
                emitter.emit(event(n=2))
        self.assertEqual(self.numbers(path), [1])

    def test_a_pipe_is_no_file(self):
        path = self.directory / "events.jsonl"
        os.mkfifo(path)
        with self.assertRaisesRegex(OSError, "events.jsonl is not a regular file"):
            sinks.FileSink(path, fsync=False).emit(event())

    def test_a_stopped_process_with_the_lock_holds_nobody_up(self):
        path = self.directory / "events.jsonl"
        with open(path, "w") as other, mock.patch.object(sinks, "LOCK_SECONDS", 0.05):
            sinks.fcntl.flock(other, sinks.fcntl.LOCK_EX)
            sinks.FileSink(path).emit(event(n=1))
        self.assertEqual(self.numbers(path), [1])

    def test_threads_and_rotation_lose_nothing(self):
        path = self.directory / "events.jsonl"
        emitter = sinks.FileSink(path, max_bytes=40_000, backups=50, fsync=False)
        threads = [
            threading.Thread(target=lambda t=t: [emitter.emit(event(n=1000 * t + i)) for i in range(200)])
            for t in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        want = sorted(1000 * t + i for t in range(4) for i in range(200))
        self.assertEqual(sorted(self.numbers(*self.directory.glob("events.jsonl*"))), want)


class SpoolTest(EventsTest):
    def test_names_sort_as_the_events_came(self):
        emitter = sinks.SpoolSink(self.directory / "sub")
        for n in range(50):
            emitter.emit(event(n=n))
        files = sorted((self.directory / "sub").iterdir())
        self.assertEqual([json.loads(file.read_text())["n"] for file in files], list(range(50)))
        self.assertTrue(all(file.suffix == ".json" and file.name[0] != "." for file in files))

    def test_a_failure_leaves_nothing_unfinished(self):
        emitter = sinks.SpoolSink(self.directory)
        with mock.patch.object(sinks.os, "rename", side_effect=OSError("disk")):
            with self.assertRaises(OSError):
                emitter.emit(event())
        self.assertEqual(list(self.directory.iterdir()), [])


class EnvironmentTest(TestCase):
    def test_where_events_go(self):
        for env, kind, where in [
            ({}, sinks.FileSink, settings.LOGGING_DIR / "ai_webhooks.log"),
            ({"PAPERLESS_AI_EVENTS_TO": " File "}, sinks.FileSink, settings.LOGGING_DIR / "ai_webhooks.log"),
            ({"PAPERLESS_AI_EVENTS_TO": "kafka"}, sinks.FileSink, settings.LOGGING_DIR / "ai_webhooks.log"),
            ({"PAPERLESS_AI_EVENTS_TO": "log"}, sinks.LogSink, None),
            ({"PAPERLESS_AI_EVENTS_TO": "file", "PAPERLESS_AI_EVENTS_FILE": "/x"}, sinks.FileSink, Path("/x")),
            ({"PAPERLESS_AI_EVENTS_TO": "spool"}, sinks.SpoolSink, settings.DATA_DIR / "ai-events"),
            ({"PAPERLESS_AI_EVENTS_TO": "spool", "PAPERLESS_AI_EVENTS_SPOOL": "/s"}, sinks.SpoolSink, Path("/s")),
        ]:
            with self.subTest(env=env):
                emitter = sinks.sink_from_environment(env)
                self.assertIs(type(emitter), kind)
                self.assertEqual(getattr(emitter, "path", getattr(emitter, "directory", None)), where)
        self.assertIsNone(sinks.sink_from_environment({"PAPERLESS_AI_EVENTS_TO": "off"}))

    def test_a_wrong_number_is_reported_and_the_default_used(self):
        env = {"PAPERLESS_AI_EVENTS_TO": "file", "PAPERLESS_AI_EVENTS_FILE_MAX_BYTES": "10MB"}
        with self.assertLogs("paperless.ai_webhooks", "ERROR"):
            self.assertEqual(sinks.sink_from_environment(env).max_bytes, 10 << 20)

    def test_neither_true_nor_false_is_reported_and_the_default_used(self):
        for value, want in [("treu", True), (" OFF ", False), ("y", True), ("", True)]:
            env = {"PAPERLESS_AI_EVENTS_TO": "spool", "PAPERLESS_AI_EVENTS_FSYNC": value}
            with self.subTest(value=value), self.assertLogs("paperless.ai_webhooks", "ERROR") as logs:
                self.assertIs(sinks.sink_from_environment(env).fsync, want)
                sinks.logger.error("end")
            self.assertEqual(len(logs.output), 2 if value == "treu" else 1)
