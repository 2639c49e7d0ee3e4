"""Sends many events from this process, by IntelliDocs' helpers and without its database:

    python3 scanner.py EVENTS [--first NUMBER]
"""

import argparse
import datetime
import os
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paperless.settings")

import django  # noqa: E402

WHEN = datetime.datetime(2025, 11, 14, 15, 0, tzinfo=datetime.timezone.utc)


def related(*names):
    return SimpleNamespace(all=lambda: [SimpleNamespace(name=name) for name in names])


def document(number):
    return SimpleNamespace(
        id=number,
        title=f"Rechnung Nº {number}, Büro “Müller” 📄",
        created=WHEN,
        correspondent=SimpleNamespace(name="Acme Corp") if number % 2 else None,
        document_type=SimpleNamespace(name="Invoice"),
        tags=related("paid", "2025"),
    )


def deletion_request(number):
    return SimpleNamespace(
        id=number,
        status="pending",
        ai_reason="duplicate",
        documents=SimpleNamespace(all=lambda: [document(number)]),
        impact_summary={"document_count": 1, "affected_tags": ["paid"], "total_size_bytes": 4096},
        created_at=WHEN,
        user=SimpleNamespace(id=1, username="admin"),
    )


def scan(number):
    """Every document is scanned; some have suggestions applied, some are proposed for deletion."""
    from documents import webhooks

    if number % 3 == 0:
        webhooks.send_scan_completed_webhook(document(number), {"tags": [(1, 0.7)], "workflows": []}, 1, 3)
    elif number % 3 == 1:
        found = {"tags": [(1, 0.85), (2, 0.7)], "correspondent": (2, 0.85)}
        webhooks.send_suggestion_applied_webhook(document(number), found, ["tags", "tags", "correspondent"])
    else:
        webhooks.send_deletion_request_webhook(deletion_request(number))


def main():
    django.setup()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("events", type=int)
    arguments.add_argument("--first", type=int, default=0, help="number of the first document")
    options = arguments.parse_args()
    for number in range(options.first, options.first + options.events):
        scan(number)


if __name__ == "__main__":
    main()
