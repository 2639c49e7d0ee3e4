"""Where an event goes: IntelliDocs' log, a JSON-lines file, or a spool directory."""

import fcntl
import functools
import itertools
import json
import logging
import os
import socket
import stat
import time
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from intellidocs_events import jsonsafe

LOGGER = "paperless.ai_webhooks"
SOURCE = "intellidocs-ai"
# Another process holds the file's lock only for one write; one that was stopped
# in the middle must not hold the scanner up.
LOCK_SECONDS = 1.0

logger = logging.getLogger(LOGGER)


def emitter_from_environment(env=os.environ):
    """The emitter PAPERLESS_AI_EVENTS_TO names, None for "off".

    A value nobody knows is reported and means "log": the event is kept all the same.
    """
    to = env.get("PAPERLESS_AI_EVENTS_TO", "").strip().lower() or "log"
    fsync = _flag(env, "PAPERLESS_AI_EVENTS_FSYNC", True)
    data = Path(getattr(settings, "DATA_DIR", "."))
    if to == "off":
        return None
    if to == "file":
        logs = getattr(settings, "LOGGING_DIR", data / "log")
        return FileEmitter(
            env.get("PAPERLESS_AI_EVENTS_FILE") or Path(logs) / "ai-events.jsonl",
            max_bytes=_number(env, "PAPERLESS_AI_EVENTS_FILE_MAX_BYTES", 10 << 20),
            backups=_number(env, "PAPERLESS_AI_EVENTS_FILE_BACKUPS", 20),
            fsync=fsync,
        )
    if to == "spool":
        return SpoolEmitter(env.get("PAPERLESS_AI_EVENTS_SPOOL") or data / "ai-events", fsync=fsync)
    if to != "log":
        logger.error("PAPERLESS_AI_EVENTS_TO=%s is none of log, file, spool, off: events go to the log", to)
    return LogEmitter()


def replacement_for(original, emitter):
    """What stands in for send_ai_webhook: same arguments, same kind of result, never an exception.

    With PAPERLESS_AI_EVENTS_FORWARD=true IntelliDocs' own function is called too
    and its list returned; otherwise the list is empty.
    """
    forward = _flag(os.environ, "PAPERLESS_AI_EVENTS_FORWARD", False)

    @functools.wraps(original)
    def send_ai_webhook(event_type, payload, *args, **kwargs):
        _emit(emitter, event_type, payload)
        if not forward:
            return []
        try:
            return original(event_type, payload, *args, **kwargs)
        except Exception:
            logger.exception("IntelliDocs' own AI webhook for %s failed", event_type)
            return []

    send_ai_webhook.intellidocs_events = True
    return send_ai_webhook


def _emit(emitter, event_type, payload):
    line = None
    try:
        line = json.dumps(_event(event_type, payload), allow_nan=False)
        emitter.emit(line)
    except Exception as error:
        # The agent takes an event out of such a line too, now or by "ingest":
        # where the file or the spool failed, the log still keeps it. One line, as the log is read.
        try:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            logger.error("AI event not written (%s): %s", reason, line)
        except Exception:
            pass


def _event(event_type, payload):
    """A copy, so that a caller who uses the payload again finds it as it was.

    Its own members come last: nothing in the payload, however large or odd, changes them.
    """
    event = jsonsafe.jsonable(payload)
    if not isinstance(event, dict):
        event = {"payload": event}
    event["event_type"] = jsonsafe.jsonable(event_type)
    event["timestamp"] = timezone.now().isoformat()
    event["source"] = SOURCE
    return event


class LogEmitter:
    """One record whose message is the event, through IntelliDocs' own handlers."""

    def emit(self, line):
        # Past the logger's level: PAPERLESS_AI_EVENTS_TO decides, not how much a person wants to read.
        # At least one handler takes it; where there is none, Python prints warnings to stderr.
        level = max(logging.INFO, min(self._levels(), default=logging.WARNING))
        logger.disabled = False
        logger.handle(logger.makeRecord(LOGGER, level, __file__, 0, "%s", (line,), None, "emit"))

    @staticmethod
    def _levels():
        at = logger
        while at:
            yield from (handler.level for handler in at.handlers)
            at = at.parent if at.propagate else None


class FileEmitter:
    """One event a line. Opened for each event, so it survives forks and rotation by others."""

    def __init__(self, path, max_bytes=10 << 20, backups=20, fsync=True):
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.backups = backups
        self.fsync = fsync

    def emit(self, line):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd, locked = self._open()
        try:
            size = os.fstat(fd).st_size
            data = line.encode("ascii") + b"\n"
            if size and os.pread(fd, 1, size - 1) != b"\n":
                # A writer died in the middle of its line: do not join it.
                data = b"\n" + data
            written = os.write(fd, data)
            if written != len(data):
                if locked:
                    os.ftruncate(fd, size)
                raise OSError(f"{self.path}: only {written} of {len(data)} bytes fitted")
            if self.fsync:
                os.fsync(fd)
        finally:
            os.close(fd)

    def _open(self):
        """The file with room for one more line, and whether its lock could be had."""
        while True:
            # Neither opening nor writing may wait for who is at the other end of a pipe.
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise OSError(f"{self.path} is not a regular file")
                locked = _lock(fd)
                if not locked or not self._rotated(fd):
                    return fd, locked
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _rotated(self, fd):
        """Whether fd is no longer the file at path: somebody has moved it away, perhaps we."""
        mine = os.fstat(fd)
        try:
            if not os.path.samestat(mine, os.stat(self.path)):
                return True
        except FileNotFoundError:
            return True
        if not self.max_bytes or mine.st_size < self.max_bytes:
            return False
        for n in range(self.backups - 1, 0, -1):
            if os.path.exists(f"{self.path}.{n}"):
                os.replace(f"{self.path}.{n}", f"{self.path}.{n + 1}")
        os.replace(self.path, f"{self.path}.1")
        return True


class SpoolEmitter:
    """One event a file, moved into the directory when it is whole. Names sort by time."""

    def __init__(self, directory, fsync=True):
        self.directory = Path(directory)
        self.fsync = fsync
        self.host = socket.gethostname().split(".")[0]
        self.sequence = itertools.count()

    def emit(self, line):
        self.directory.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}-{self.host}-{os.getpid()}-{next(self.sequence):06d}.json"
        unfinished = self.directory / f".{name}.tmp"
        try:
            with open(unfinished, "x", encoding="ascii") as file:
                file.write(line + "\n")
                file.flush()
                if self.fsync:
                    os.fsync(file.fileno())
            os.rename(unfinished, self.directory / name)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        if self.fsync:
            fd = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _lock(fd):
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)


def _flag(env, name, default):
    value = env.get(name, "").strip().lower()
    if value in {"1", "true", "yes", "on", "y", "t"}:
        return True
    if value in {"0", "false", "no", "off", "n", "f"}:
        return False
    if value:
        logger.error("%s=%s is neither true nor false: %s is used", name, value, str(default).lower())
    return default


def _number(env, name, default):
    value = env.get(name, "").strip()
    if not value:
        return default
    try:
        return max(0, int(value))
    except ValueError:
        logger.error("%s=%s is not a number: %d is used", name, value, default)
        return default
