"""Whatever IntelliDocs' module is like, its processes run and uploads continue: a real worker, beat and command."""

import concurrent.futures
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import TestCase

from tests import HERE, STANDIN

BOTH = ["suggestion_auto_applied", "scan_completed"]
DECLARATION = "@shared_task(bind=True, max_retries=None, autoretry_for=None)"

# What is done to the stand-in's documents/, and the events that come for one document:
# none where the module cannot be loaded or has no sender, since IntelliDocs itself then sends nothing.
HOSTS = {
    "as it is": (lambda documents: None, BOTH),
    "no such module": (lambda documents: (documents / "webhooks.py").unlink(), []),
    "needs what is not there": (lambda documents: prepend(documents / "webhooks.py", "import no_such_module"), []),
    "no Python": (lambda documents: prepend(documents / "webhooks.py", "def"), []),
    "other names": (lambda documents: edit(documents / "webhooks.py", "send_ai_webhook(", "send_event("), []),
    "imports the models": (lambda documents: prepend(documents / "webhooks.py", "import documents.models"), BOTH),
    "imports the tasks": (lambda documents: prepend(documents / "webhooks.py", "import documents.tasks"), BOTH),
    "loaded at the start": (lambda documents: load_early(documents), BOTH),
}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def prepend(path, line):
    path.write_text(line + "\n" + path.read_text())


def load_early(documents):
    """A later version may load its module when it starts; then it declares its task rightly."""
    edit(documents / "webhooks.py", DECLARATION, "@shared_task(bind=True, max_retries=None)")
    with open(documents / "apps.py", "a") as file:
        file.write("\n    def ready(self):\n        from documents.webhooks import send_ai_webhook  # noqa: F401\n")


class Host:
    """An IntelliDocs of its own in a directory."""

    def __init__(self, directory, change):
        self.data = directory / "data"
        self.data.mkdir()
        self.src = directory / "src"
        shutil.copytree(STANDIN, self.src, ignore=shutil.ignore_patterns("__pycache__"))
        change(self.src / "documents")
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(HERE.parent)]))
        self.socket = self.data / "redis"
        broker = f"redis+socket://{self.socket}"
        self.env = {**os.environ, "PAPERLESS_DATA_DIR": str(self.data), "PAPERLESS_REDIS": broker, "PYTHONPATH": path}
        self.processes = []

    def manage(self, *args):
        command = [sys.executable, "manage.py", *args]
        run = subprocess.run(command, cwd=self.src, env=self.env, capture_output=True, text=True, timeout=120)
        assert run.returncode == 0, run.stderr
        return run.stdout

    def redis(self):
        self.start("redis", ["redis-server", "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", self.data])
        self.wait("redis")

    def celery(self, name):
        self.start(name, [sys.executable, "-m", "celery", "-A", "paperless", name, "-l", "INFO"])

    def start(self, name, command):
        with open(self.data / f"{name}.out", "w") as output:
            process = subprocess.Popen(command, cwd=self.src, env=self.env, stdout=output, stderr=output, start_new_session=True)
        self.processes.append(process)

    def kill(self):
        """Nobody is told to stop: a worker that is told so between two tasks may wait for a child that waits for it."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def said(self):
        return "\n".join(f"{path.name}:\n{path.read_text()}" for path in self.data.rglob("*.out"))

    def events(self):
        path = self.data / "log" / "ai_webhooks.log"
        return [json.loads(line)["event"] for line in path.read_text().splitlines()] if path.exists() else []

    def wait(self, *names):
        """Returns when these files are there and all processes live."""
        deadline = time.monotonic() + 60
        while True:
            there = all((self.data / name).exists() for name in names)
            assert all(process.poll() is None for process in self.processes), self.said()
            if there:
                return
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)


def live(name):
    """One document through a host of this kind: uploaded by a command, taken by the worker."""
    change, want = HOSTS[name]
    with tempfile.TemporaryDirectory() as directory:
        host = Host(Path(directory), change)
        host.manage("prepare")
        try:
            host.redis()
            host.celery("worker")
            host.celery("beat")
            host.manage("upload", "one")
            host.wait("done-document-1", "done-beat")
        finally:
            host.kill()
        got = [event["event_type"] for event in host.events()]
        assert got == want, f"{got}\n{host.said()}\n{(host.data / 'log' / 'paperless.log').read_text()}"


class HostTest(TestCase):
    def test_worker_beat_and_upload_run_as_it_is(self):
        live("as it is")

    def test_worker_beat_and_upload_run_in_other_hosts(self):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            running = {name: pool.submit(live, name) for name in HOSTS if name != "as it is"}
        for name, host in running.items():
            with self.subTest(name):
                host.result()

    def test_a_command_that_scans_itself_gives_its_events(self):
        with tempfile.TemporaryDirectory() as directory:
            host = Host(Path(directory), lambda documents: None)
            host.manage("prepare")
            host.manage("upload", "one", "--here")
            self.assertEqual([event["event_type"] for event in host.events()], BOTH)
