"""Where an event goes: a log of its own, IntelliDocs' log, or a spool directory."""

import collections
import datetime
import fcntl
import itertools
import json
import logging
import os
import socket
import stat
import time
from pathlib import Path

from django.conf import settings

from intellidocs_events import LOGGER, guard

# Another process holds the file's lock only for one write; one that was stopped
# in the middle must not hold the scanner up.
LOCK_SECONDS = 1.0

# Its type, its JSON in one line, and, of a deletion request, which one.
Event = collections.namedtuple("Event", "type line request")

logger = logging.getLogger(LOGGER)


def sink_from_environment(env=os.environ):
    """The sink PAPERLESS_AI_EVENTS_TO names, None for "off".

    A value nobody knows is reported and means "file": the event is kept all the same.
    """
    to = env.get("PAPERLESS_AI_EVENTS_TO", "").strip().lower() or "file"
    fsync = flag(env, "PAPERLESS_AI_EVENTS_FSYNC", True)
    data = Path(getattr(settings, "DATA_DIR", "."))
    if to == "off":
        return None
    if to == "log":
        return LogSink()
    if to == "spool":
        return SpoolSink(env.get("PAPERLESS_AI_EVENTS_SPOOL") or data / "ai-events", fsync=fsync)
    if to != "file":
        logger.error("PAPERLESS_AI_EVENTS_TO=%s is none of file, log, spool, off: events go to the file", to)
    logs = getattr(settings, "LOGGING_DIR", None) or data / "log"
    return FileSink(
        env.get("PAPERLESS_AI_EVENTS_FILE") or Path(logs) / "ai_webhooks.log",
        max_bytes=number(env, "PAPERLESS_AI_EVENTS_FILE_MAX_BYTES", 10 << 20),
        backups=number(env, "PAPERLESS_AI_EVENTS_FILE_BACKUPS", 20),
        fsync=fsync,
    )


class LogSink:
    """One record whose message is the event, through IntelliDocs' own handlers."""

    def __init__(self):
        guard.watch(handler for handler, _ in self._handlers())

    def __str__(self):
        return "IntelliDocs' own log"

    def emit(self, event):
        # Past the logger's level: PAPERLESS_AI_EVENTS_TO decides, not how much a person wants to read.
        # At least one handler takes it; where there is none, Python prints warnings to stderr.
        level = max(logging.INFO, min((level for _, level in self._handlers()), default=logging.WARNING))
        logger.disabled = False
        logger.handle(logger.makeRecord(LOGGER, level, __file__, 0, "%s", (event.line,), None, "emit", guard.EVENT))

    @staticmethod
    def _handlers():
        """Those that take a record of ours, with their levels."""
        at = logger
        while at:
            yield from ((handler, handler.level) for handler in at.handlers)
            at = at.parent if at.propagate else None


class FileSink:
    """One JSON log record a line. Opened for each event, so it survives forks and rotation by others."""

    def __init__(self, path, max_bytes=10 << 20, backups=20, fsync=True):
        self.path = Path(path)
        self.max_bytes = max_bytes
        self.backups = max(1, backups)
        self.fsync = fsync

    def __str__(self):
        return str(self.path)

    def emit(self, event):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd, locked = self._open()
        try:
            size = os.fstat(fd).st_size
            data = _record(event).encode("ascii") + b"\n"
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
                if os.geteuid() == 0:
                    _give_to_owner(fd, self.path.parent)
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


class SpoolSink:
    """One event a file, moved into the directory when it is whole. Names sort by time."""

    def __init__(self, directory, fsync=True):
        self.directory = Path(directory)
        self.fsync = fsync
        self.host = socket.gethostname().split(".")[0]
        self.sequence = itertools.count()

    def __str__(self):
        return str(self.directory)

    def emit(self, event):
        self.directory.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}-{self.host}-{os.getpid()}-{next(self.sequence):06d}.json"
        unfinished = self.directory / f".{name}.tmp"
        try:
            with open(unfinished, "x", encoding="ascii") as file:
                file.write(event.line + "\n")
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


def _record(event):
    """A JSON log record, as Python's logging would write it, in one line."""
    now = datetime.datetime.now()
    head = {
        "asctime": f"{now:%Y-%m-%d %H:%M:%S},{now.microsecond // 1000:03d}",
        "levelname": "INFO",
        "name": LOGGER,
        "message": event.type,
    }
    return f'{json.dumps(head)[:-1]}, "event": {event.line}}}'


def _give_to_owner(fd, directory):
    """What root makes (manage.py in a container, say) must be IntelliDocs' to write on."""
    mine, owner = os.fstat(fd), os.stat(directory)
    if mine.st_uid == 0 and mine.st_size == 0 and owner.st_uid != 0:
        os.fchown(fd, owner.st_uid, owner.st_gid)


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


def flag(env, name, default):
    value = env.get(name, "").strip().lower()
    if value in {"1", "true", "yes", "on", "y", "t"}:
        return True
    if value in {"0", "false", "no", "off", "n", "f"}:
        return False
    if value:
        logger.error("%s=%s is neither true nor false: %s is used", name, value, str(default).lower())
    return default


def number(env, name, default):
    value = env.get(name, "").strip()
    if not value:
        return default
    try:
        return max(0, int(value))
    except ValueError:
        logger.error("%s=%s is not a number: %d is used", name, value, default)
        return default


def one_line(error):
    """An error's text in one line: others' text in it must not become a record of its own."""
    return " ".join(f"{type(error).__name__}: {error}".split())
