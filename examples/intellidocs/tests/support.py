"""What several tests need."""

import json
import tempfile
from pathlib import Path
from unittest import TestCase

from django.conf import settings

PAPERLESS_LOG = Path(settings.LOGGING_DIR) / "paperless.log"
EVENTS_LOG = Path(settings.LOGGING_DIR) / "ai_webhooks.log"


def size(path):
    return path.stat().st_size if path.exists() else 0


class EventsTest(TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)
        self.marks = {path: size(path) for path in (PAPERLESS_LOG, EVENTS_LOG)}

    def lines(self, path):
        """What this test has added to the file."""
        if not path.exists():
            return []
        with open(path, encoding="utf-8") as file:
            file.seek(self.marks[path])
            return file.read().splitlines()

    def logged(self):
        return self.lines(PAPERLESS_LOG)

    def events(self):
        return [json.loads(line)["event"] for line in self.lines(EVENTS_LOG)]

    def types(self):
        return [event["event_type"] for event in self.events()]
