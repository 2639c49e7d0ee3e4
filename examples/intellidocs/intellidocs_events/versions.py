"""Which events this IntelliDocs can give: its published versions differ in what they call."""

import importlib.util
import logging
import re
from pathlib import Path

from intellidocs_events import LOGGER

CALLS = {
    "send_suggestion_applied_webhook": "suggestion_auto_applied",
    "send_scan_completed_webhook": "scan_completed",
}
# Definitions and tests are no calls.
NOT_CALLERS = {"webhooks.py", "tests", "migrations"}
CALL = re.compile(r"^(?!\s*(?:#|def )).*\b(send_\w+_webhook)\s*\(", re.MULTILINE)

logger = logging.getLogger(LOGGER)


def log_what_comes(producer, deletion_requests):
    """One line at the start: the events to expect, and where they go."""
    events = called_events()
    if deletion_requests:
        events.append("deletion_request_created")
    missing = [event for event in CALLS.values() if event not in events]
    if missing:
        logger.warning("nothing in this IntelliDocs sends %s: see examples/intellidocs/README.md", ", ".join(missing))
    logger.info("AI events of this IntelliDocs: %s; they go to %s", ", ".join(events) or "none", producer.sink)


def called_events():
    """The event types whose helper is called somewhere in IntelliDocs' sources, which are read and not imported."""
    spec = importlib.util.find_spec("documents")
    names = set()
    for directory in (spec and spec.submodule_search_locations) or []:
        for source in Path(directory).rglob("*.py"):
            if NOT_CALLERS.isdisjoint(source.relative_to(directory).parts):
                names.update(CALL.findall(source.read_text(encoding="utf-8", errors="replace")))
    return [event for name, event in CALLS.items() if name in names]
