"""From a call of IntelliDocs to a line: built at the call, written when its transaction is committed."""

import collections
import functools
import hashlib
import hmac
import json
import logging
import os
import threading
import weakref
from pathlib import Path

from django.db import DEFAULT_DB_ALIAS, connections
from django.utils import timezone

from intellidocs_events import LOGGER, guard, jsonsafe
from intellidocs_events.sinks import Event, flag, one_line, sink_from_environment

SOURCE = "intellidocs-ai"
DELETION_REQUEST = "deletion_request_created"

logger = logging.getLogger(LOGGER)


def producer_from_environment(env=os.environ):
    """The producer for what PAPERLESS_AI_EVENTS_TO names, None for "off"."""
    sink = sink_from_environment(env)
    return None if sink is None else Producer(sink, env.get("PAPERLESS_AI_EVENTS_KEY_FILE", "").strip())


def replacement_for(original, producer):
    """What stands in for send_ai_webhook: same arguments, same kind of result, never an exception.

    With PAPERLESS_AI_EVENTS_FORWARD=true IntelliDocs' own function is called too
    and its list returned; otherwise the list is empty.
    """
    forward = flag(os.environ, "PAPERLESS_AI_EVENTS_FORWARD", False)

    @functools.wraps(original)
    def send_ai_webhook(event_type, payload, *args, **kwargs):
        producer.submit(event_type, payload)
        if not forward:
            return []
        try:
            return original(event_type, payload, *args, **kwargs)
        except Exception as error:
            logger.error("IntelliDocs' own AI webhook failed: %s", one_line(error))
            return []

    send_ai_webhook.intellidocs_events = True
    return send_ai_webhook


class Producer:
    """Builds events and writes them to its sink, each when its transaction is committed."""

    def __init__(self, sink, key_file=""):
        self.sink = sink
        self.key_file = key_file
        self.once = Once()

    def submit(self, event_type, payload, using=DEFAULT_DB_ALIAS, from_signal=False):
        """Take the event as it is now; never raises.

        Outside a transaction it is written at once. Inside one it is written after the
        commit, and not at all if the transaction, or the savepoint around the call, is
        rolled back. Where transactions are managed by hand (autocommit off, no
        atomic block) the commit cannot be seen: written at once.
        """
        try:
            submission = Submission(self, self._build(event_type, payload), from_signal)
        except Exception as error:
            _complain(error, None)
            return
        if not self._wait_for_commit(submission, using):
            submission.write()

    def _wait_for_commit(self, submission, using):
        try:
            connection = connections[using]
            if not connection.in_atomic_block:
                return False
            self.once.pending().add(submission)
            connection.on_commit(submission.write)
            return True
        except Exception as error:
            logger.error("no transaction to wait for: %s", one_line(error))
            return False

    def _build(self, event_type, payload):
        """A copy, so that a caller who uses the payload again finds it as it was.

        Its own members come last: nothing in the payload, however large or odd, changes them.
        """
        event = jsonsafe.jsonable(payload)
        if not isinstance(event, dict):
            event = {"payload": event}
        event["event_type"] = jsonsafe.jsonable(event_type)
        event["timestamp"] = timezone.now().isoformat()
        event["source"] = SOURCE
        if self.key_file:
            event.pop("mac", None)
            self._authenticate(event)
        return Event(str(event["event_type"]), json.dumps(event, allow_nan=False, sort_keys=True), _request_key(event))

    def _authenticate(self, event):
        """The MAC covers the event's canonical bytes: the JSON with sorted keys, without the MAC."""
        try:
            key = trimmed(Path(self.key_file).read_bytes())
            if not key:
                raise ValueError("it is empty")
        except (OSError, ValueError) as error:
            # The event is kept: the agent shows it as rejected, and a person can see why.
            logger.error("PAPERLESS_AI_EVENTS_KEY_FILE=%s: %s: the event has no MAC", self.key_file, one_line(error))
            return
        canonical = json.dumps(event, allow_nan=False, sort_keys=True).encode("ascii")
        event["mac"] = hmac.new(key, canonical, hashlib.sha256).hexdigest()


def trimmed(key):
    """A key file's content without the byte order mark and line ends that editors put around it."""
    bom = b"\xef\xbb\xbf"
    key = key[len(bom) :] if key.startswith(bom) else key
    return key.strip(b"\r\n")


class Submission:
    """An event on its way. While its transaction is open, only that keeps it alive:
    a rollback of the transaction or of its savepoint lets go of it."""

    def __init__(self, producer, event, from_signal):
        self.producer = producer
        self.event = event
        self.from_signal = from_signal

    def write(self):
        """Never raises: after a commit Django has other functions to call."""
        try:
            if self.producer.once.may_write(self):
                self.producer.sink.emit(self.event)
        except Exception as error:
            _complain(error, self.event)


class Once:
    """Sees to it that a deletion request becomes one event.

    Two may know of it: the signal that its documents were set, and IntelliDocs' own
    helper, in a version that calls it. Of several in one transaction the last that
    is committed counts; after that whoever comes second is silent.
    """

    def __init__(self):
        self.local = threading.local()
        self.lock = threading.Lock()
        self.told = {True: Recent(), False: Recent()}

    def pending(self):
        """This thread's uncommitted submissions, which a rollback takes out again."""
        if not hasattr(self.local, "pending"):
            self.local.pending = Pending()
        return self.local.pending

    def may_write(self, submission):
        key = submission.event.request
        if key is None:
            return True
        if self.pending().overtakes(submission):
            return False
        with self.lock:
            if key in self.told[True] or (submission.from_signal and key in self.told[False]):
                return False
            self.told[submission.from_signal].add(key)
            return True


class Pending:
    def __init__(self):
        self.order = []

    def add(self, submission):
        if submission.event.request is not None:
            self.order = [ref for ref in self.order if ref() is not None]
            self.order.append(weakref.ref(submission))

    def overtakes(self, submission):
        """Whether the same request was submitted again later, one of the two by the signal."""
        alive = [other for other in (ref() for ref in self.order) if other is not None]
        if submission not in alive:
            return False
        later = alive[alive.index(submission) + 1 :]
        return any(
            other.event.request == submission.event.request and (other.from_signal or submission.from_signal)
            for other in later
        )


class Recent:
    """The last so many keys."""

    LIMIT = 10_000

    def __init__(self):
        self.keys = collections.OrderedDict()

    def __contains__(self, key):
        return key in self.keys

    def discard(self, key):
        self.keys.pop(key, None)

    def add(self, key):
        self.keys[key] = None
        if len(self.keys) > self.LIMIT:
            self.keys.popitem(last=False)


def _request_key(event):
    request = event.get("deletion_request")
    if event["event_type"] != DELETION_REQUEST or not isinstance(request, dict) or request.get("id") is None:
        return None
    return json.dumps([request["id"], request.get("created_at")], default=str)


def _complain(error, event):
    """Keep the event in IntelliDocs' log, from where "intellidocs-agent ingest" can take it."""
    try:
        logger.error("AI event not written (%s): %s", one_line(error), event and event.line, extra=guard.EVENT)
    except Exception:
        pass
