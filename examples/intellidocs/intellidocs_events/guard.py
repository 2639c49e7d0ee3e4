"""In a log that all of IntelliDocs writes to, others' text must not look like a record of ours.

Titles, mail subjects and receivers' answers are logged as they are, line feeds among them, so
whoever sends a mail could write a line with a whole header in it. Of every record but an event's
own, the logger's name in brackets is put in parentheses: nothing else in IntelliDocs writes it.
"""

import logging
import re

from intellidocs_events import LOGGER

# What an event's own record has as an attribute.
EVENT = {"intellidocs_event": True}

_quoted = re.compile(rf"\[(\s*{re.escape(LOGGER)}\s*)\]", re.IGNORECASE)
_formatter = logging.Formatter()


class Guard(logging.Filter):
    """Lets every record pass, and never raises."""

    def filter(self, record):
        if not getattr(record, "intellidocs_event", False):
            try:
                _disarm(record)
            except Exception:
                pass  # a record that cannot be formatted: its handler reports that
        return True


def watch(handlers):
    """A second call changes nothing."""
    for handler in handlers:
        if not any(isinstance(present, Guard) for present in handler.filters):
            handler.addFilter(Guard())


def _disarm(record):
    text = record.getMessage()
    if _quoted.search(text):
        record.msg, record.args = _plain(text), None
    if record.exc_info and not record.exc_text:
        text = _formatter.formatException(record.exc_info)
        if _quoted.search(text):
            record.exc_text = _plain(text)
    elif record.exc_text:
        record.exc_text = _plain(record.exc_text)
    if record.stack_info:
        record.stack_info = _plain(record.stack_info)


def _plain(text):
    return _quoted.sub(r"(\1)", text)
