import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import types
from pathlib import Path
from unittest import TestCase, mock

from django.conf import settings
from django.test import override_settings
from documents import webhooks
from intellidocs_events import apps, emit
from intellidocs_events.jsonsafe import MAX_VALUES
from tests import HERE

PAPERLESS_LOG = Path(settings.LOGGING_DIR) / "paperless.log"


class Failing:
    def emit(self, line):
        raise OSError(28, "No space left\non device")


class EmitTest(TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.mark = PAPERLESS_LOG.stat().st_size if PAPERLESS_LOG.exists() else 0
        webhooks.sent.clear()

    def logged(self):
        with open(PAPERLESS_LOG, encoding="utf-8") as file:
            file.seek(self.mark)
            return file.read().splitlines()

    def original(self):
        return webhooks.send_ai_webhook.__wrapped__

    def replaced(self, emitter, **env):
        with mock.patch.dict(os.environ, env):
            return emit.replacement_for(self.original(), emitter)


class ApplicationTest(EmitTest):
    def test_the_application_took_the_senders_place(self):
        self.assertTrue(webhooks.send_ai_webhook.intellidocs_events)
        self.assertEqual(webhooks.send_ai_webhook.__name__, "send_ai_webhook")

    def test_ready_twice_emits_once(self):
        before = webhooks.send_ai_webhook
        apps.install()
        self.assertIs(webhooks.send_ai_webhook, before)

    def test_who_imported_the_function_before_emits_too(self):
        early = types.ModuleType("early")
        early.send = self.original()
        with mock.patch.object(webhooks, "send_ai_webhook", self.original()):
            with mock.patch.dict(sys.modules, early=early):
                apps.install()
        self.assertEqual(early.send("scan_completed", {"n": 1}), [])
        self.assertEqual(len(self.logged()), 1)

    def test_off_leaves_intellidocs_as_it_is(self):
        with mock.patch.object(webhooks, "send_ai_webhook", self.original()):
            with mock.patch.dict(os.environ, PAPERLESS_AI_EVENTS_TO="off"):
                apps.install()
            self.assertFalse(hasattr(webhooks.send_ai_webhook, "intellidocs_events"))

    def test_intellidocs_without_webhooks_starts_all_the_same(self):
        with mock.patch.dict(sys.modules, {"documents.webhooks": None}):
            with mock.patch.object(sys.modules["documents"], "webhooks", create=True):
                del sys.modules["documents"].webhooks
                apps.EventsConfig("intellidocs_events", apps).ready()
                sys.modules["documents"].webhooks = webhooks
        self.assertIn("[WARNING] [paperless.ai_webhooks] intellidocs_events is not active", "\n".join(self.logged()))

    def test_every_helper_comes_through(self):
        import scanner

        for number in range(3):
            scanner.scan(number)
        events = [json.loads(line.split("] ", 3)[3]) for line in self.logged()]
        self.assertEqual(
            [event["event_type"] for event in events],
            ["scan_completed", "suggestion_auto_applied", "deletion_request_created"],
        )
        self.assertEqual(events[0]["document"]["title"], "Rechnung Nº 0, Büro “Müller” 📄")


class SenderTest(EmitTest):
    def test_events_are_written_whether_or_not_intellidocs_sends(self):
        for enabled in (False, True):
            with override_settings(PAPERLESS_AI_WEBHOOKS_ENABLED=enabled):
                self.assertEqual(webhooks.send_ai_webhook("scan_completed", {"n": 1}), [])
        self.assertEqual((len(self.logged()), webhooks.sent), (2, []))

    def test_the_callers_payload_stays_as_it_was(self):
        payload = {"n": 1, "event_type": "mine"}
        webhooks.send_ai_webhook("scan_completed", payload, webhook_urls=["http://127.0.0.1/"])
        self.assertEqual(payload, {"n": 1, "event_type": "mine"})
        event = json.loads(self.logged()[0].split("] ", 3)[3])
        self.assertEqual((event["event_type"], event["source"]), ("scan_completed", "intellidocs-ai"))
        self.assertRegex(event["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00$")

    def test_forward_returns_what_intellidocs_returns(self):
        send = self.replaced(emit.LogEmitter(), PAPERLESS_AI_EVENTS_FORWARD="true")
        with override_settings(PAPERLESS_AI_WEBHOOKS_ENABLED=True):
            sent = send("scan_completed", {"n": 1})
        self.assertEqual([payload["n"] for payload in sent], [1])
        self.assertEqual(len(self.logged()), 1)

    def test_forward_does_not_raise_into_the_scanner(self):
        failing = mock.Mock(side_effect=RuntimeError("broker is down"), __name__="send_ai_webhook")
        with mock.patch.dict(os.environ, PAPERLESS_AI_EVENTS_FORWARD="true"):
            send = emit.replacement_for(failing, emit.LogEmitter())
        self.assertEqual(send("scan_completed", {"n": 1}), [])
        self.assertIn("broker is down", "\n".join(self.logged()))

    def test_an_event_that_cannot_be_written_is_kept_in_the_log(self):
        self.assertEqual(self.replaced(Failing())("scan_completed", {"n": 1}), [])
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
                event = json.loads(self.logged()[-1].split("] ", 3)[3])
                del event["timestamp"]
                self.assertEqual(event, {**want, "event_type": "custom", "source": "intellidocs-ai"})

    def test_a_huge_payload_leaves_the_events_own_members_alone(self):
        webhooks.send_ai_webhook("custom", {"values": [0] * (MAX_VALUES + 1), "after": 1})
        event = json.loads(self.logged()[0].split("] ", 3)[3])
        self.assertEqual((event["event_type"], event["after"]), ("custom", "<too many>"))

    def test_what_sends_while_it_is_written_is_an_event_of_its_own(self):
        class Telling:
            def __str__(self):
                return f"told {webhooks.send_ai_webhook('inner', {})}"

        webhooks.send_ai_webhook("outer", {"o": Telling()})
        events = [json.loads(line.split("] ", 3)[3]) for line in self.logged()]
        self.assertEqual([event["event_type"] for event in events], ["inner", "outer"])
        self.assertEqual(events[1]["o"], "told []")


class LogTest(EmitTest):
    def test_the_record_has_intellidocs_form(self):
        webhooks.send_ai_webhook("scan_completed", {"title": "two\nlines %s {x}"})
        (line,) = self.logged()
        self.assertRegex(line, r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] \[INFO\] \[paperless\.ai_webhooks\] \{")
        self.assertEqual(json.loads(line.split("] ", 3)[3])["title"], "two\nlines %s {x}")

    def test_a_quiet_log_still_takes_events(self):
        paperless = logging.getLogger("paperless")
        (handler,) = paperless.handlers
        self.addCleanup(setattr, emit.logger, "level", emit.logger.level)
        self.addCleanup(handler.setLevel, handler.level)
        self.addCleanup(logging.disable, logging.NOTSET)
        emit.logger.setLevel(logging.ERROR)
        emit.logger.disabled = True
        handler.setLevel(logging.WARNING)
        logging.disable(logging.CRITICAL)
        webhooks.send_ai_webhook("scan_completed", {})
        self.assertEqual(len(self.logged()), 1)


class FileTest(EmitTest):
    def events(self, *paths):
        return [json.loads(line)["n"] for path in paths for line in path.read_text().splitlines()]

    def test_rotation_keeps_every_event(self):
        path = self.directory / "sub" / "events.jsonl"
        emitter = emit.FileEmitter(path, max_bytes=100, backups=3, fsync=False)
        for n in range(30):
            emitter.emit(json.dumps({"n": n}))
        kept = [path.with_name(f"events.jsonl.{n}") for n in (2, 1)]
        self.assertEqual(self.events(*kept, path), list(range(30)))

    def test_a_line_cut_short_does_not_swallow_the_next(self):
        path = self.directory / "events.jsonl"
        path.write_bytes(b'{"n": 0}\n{"n": 1, "tit')
        emit.FileEmitter(path).emit('{"n": 2}')
        self.assertEqual(path.read_bytes(), b'{"n": 0}\n{"n": 1, "tit\n{"n": 2}\n')

    def test_a_full_disk_leaves_no_half_line(self):
        path = self.directory / "events.jsonl"
        emitter = emit.FileEmitter(path)
        emitter.emit('{"n": 1}')
        write = os.write
        with mock.patch.object(emit.os, "write", lambda fd, data: write(fd, data[:4])):
            with self.assertRaisesRegex(OSError, "only 4 of 9 bytes"):
                emitter.emit('{"n": 2}')
        self.assertEqual(self.events(path), [1])

    def test_a_pipe_is_no_file(self):
        path = self.directory / "events.jsonl"
        os.mkfifo(path)
        with self.assertRaisesRegex(OSError, "events.jsonl is not a regular file"):
            emit.FileEmitter(path, fsync=False).emit("{}")

    def test_a_stopped_process_with_the_lock_holds_nobody_up(self):
        path = self.directory / "events.jsonl"
        with open(path, "w") as other, mock.patch.object(emit, "LOCK_SECONDS", 0.05):
            emit.fcntl.flock(other, emit.fcntl.LOCK_EX)
            emit.FileEmitter(path).emit('{"n": 1}')
        self.assertEqual(self.events(path), [1])

    def test_threads_and_rotation_lose_nothing(self):
        path = self.directory / "events.jsonl"
        emitter = emit.FileEmitter(path, max_bytes=2000, backups=50, fsync=False)
        threads = [
            threading.Thread(target=lambda t=t: [emitter.emit(json.dumps({"n": 1000 * t + i})) for i in range(200)])
            for t in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        want = sorted(1000 * t + i for t in range(4) for i in range(200))
        self.assertEqual(sorted(self.events(*self.directory.glob("events.jsonl*"))), want)


class SpoolTest(EmitTest):
    def test_names_sort_as_the_events_came(self):
        emitter = emit.SpoolEmitter(self.directory / "sub")
        for n in range(50):
            emitter.emit(json.dumps({"n": n}))
        files = sorted((self.directory / "sub").iterdir())
        self.assertEqual([json.loads(file.read_text())["n"] for file in files], list(range(50)))
        self.assertTrue(all(file.suffix == ".json" and file.name[0] != "." for file in files))

    def test_a_failure_leaves_nothing_unfinished(self):
        emitter = emit.SpoolEmitter(self.directory)
        with mock.patch.object(emit.os, "rename", side_effect=OSError("disk")):
            with self.assertRaises(OSError):
                emitter.emit("{}")
        self.assertEqual(list(self.directory.iterdir()), [])


class EnvironmentTest(TestCase):
    def test_where_events_go(self):
        for env, kind, where in [
            ({}, emit.LogEmitter, None),
            ({"PAPERLESS_AI_EVENTS_TO": " Log "}, emit.LogEmitter, None),
            ({"PAPERLESS_AI_EVENTS_TO": "kafka"}, emit.LogEmitter, None),
            ({"PAPERLESS_AI_EVENTS_TO": "file"}, emit.FileEmitter, settings.LOGGING_DIR / "ai-events.jsonl"),
            ({"PAPERLESS_AI_EVENTS_TO": "file", "PAPERLESS_AI_EVENTS_FILE": "/x"}, emit.FileEmitter, Path("/x")),
            ({"PAPERLESS_AI_EVENTS_TO": "spool"}, emit.SpoolEmitter, settings.DATA_DIR / "ai-events"),
            ({"PAPERLESS_AI_EVENTS_TO": "spool", "PAPERLESS_AI_EVENTS_SPOOL": "/s"}, emit.SpoolEmitter, Path("/s")),
        ]:
            with self.subTest(env=env):
                emitter = emit.emitter_from_environment(env)
                self.assertIs(type(emitter), kind)
                self.assertEqual(getattr(emitter, "path", getattr(emitter, "directory", None)), where)
        self.assertIsNone(emit.emitter_from_environment({"PAPERLESS_AI_EVENTS_TO": "off"}))

    def test_a_wrong_number_is_reported_and_the_default_used(self):
        env = {"PAPERLESS_AI_EVENTS_TO": "file", "PAPERLESS_AI_EVENTS_FILE_MAX_BYTES": "10MB"}
        with self.assertLogs("paperless.ai_webhooks", "ERROR"):
            self.assertEqual(emit.emitter_from_environment(env).max_bytes, 10 << 20)

    def test_neither_true_nor_false_is_reported_and_the_default_used(self):
        for value, want in [("treu", True), (" OFF ", False), ("y", True), ("", True)]:
            env = {"PAPERLESS_AI_EVENTS_TO": "spool", "PAPERLESS_AI_EVENTS_FSYNC": value}
            with self.subTest(value=value), self.assertLogs("paperless.ai_webhooks", "ERROR") as logs:
                self.assertIs(emit.emitter_from_environment(env).fsync, want)
                emit.logger.error("end")
            self.assertEqual(len(logs.output), 2 if value == "treu" else 1)


class ProcessesTest(TestCase):
    """Several processes at once, each a whole Django, and a real Celery worker."""

    EVENTS = 100

    def run_processes(self, data, **env):
        env = {**os.environ, "PAPERLESS_DATA_DIR": data, **env}
        command = [sys.executable, str(HERE / "standin" / "scanner.py"), str(self.EVENTS)]
        running = [subprocess.Popen([*command, "--first", str(n * 1000)], env=env) for n in range(4)]
        self.assertEqual([process.wait(120) for process in running], [0] * 4)
        return sorted(n * 1000 + i for n in range(4) for i in range(self.EVENTS))

    def numbers(self, lines):
        events = (json.loads(line[line.index("{") :]) for line in lines)
        return sorted((e.get("document") or e["deletion_request"])["id"] for e in events)

    def test_log(self):
        with tempfile.TemporaryDirectory() as data:
            want = self.run_processes(data, PAPERLESS_AI_EVENTS_TO="log")
            lines = (Path(data) / "log" / "paperless.log").read_text().splitlines()
            self.assertEqual(self.numbers(lines), want)

    def test_file(self):
        with tempfile.TemporaryDirectory() as data:
            want = self.run_processes(
                data, PAPERLESS_AI_EVENTS_TO="file", PAPERLESS_AI_EVENTS_FILE_MAX_BYTES="20000"
            )
            paths = (Path(data) / "log").glob("ai-events.jsonl*")
            self.assertEqual(self.numbers(line for path in paths for line in path.read_text().splitlines()), want)

    def test_spool(self):
        with tempfile.TemporaryDirectory() as data:
            want = self.run_processes(data, PAPERLESS_AI_EVENTS_TO="spool")
            self.assertEqual(self.numbers(p.read_text() for p in (Path(data) / "ai-events").iterdir()), want)

    def test_celery_workers(self):
        with tempfile.TemporaryDirectory() as data:
            env = {**os.environ, "PAPERLESS_DATA_DIR": data}
            scanner = HERE / "standin" / "scanner.py"
            subprocess.run([sys.executable, scanner, "--queue", str(self.EVENTS)], env=env, check=True, timeout=120)
            log = Path(data) / "log" / "paperless.log"
            with open(Path(data) / "worker.out", "w+") as output:
                worker = subprocess.Popen(
                    [sys.executable, "-m", "celery", "-A", "scanner", "worker", "-c", "4", "-l", "WARNING"],
                    cwd=scanner.parent, env=env, stdout=output, stderr=subprocess.STDOUT,
                )  # fmt: skip
                try:
                    done = threading.Event()
                    for _ in range(600):
                        if log.exists() and log.read_text().count('"event_type"') >= self.EVENTS:
                            break
                        done.wait(0.1)
                finally:
                    worker.terminate()
                    worker.wait(60)
                output.seek(0)
                said = output.read()
            lines = log.read_text().splitlines() if log.exists() else []
            self.assertEqual(self.numbers(lines), list(range(self.EVENTS)), said)
