"""The AI scanner's side: Celery tasks that send events, and a command that starts many.

    python3 scanner.py EVENTS          send them from this process
    celery -A scanner worker           with  python3 scanner.py --queue EVENTS
"""

import argparse
import datetime
import os
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

import django  # noqa: E402
from celery import Celery  # noqa: E402

django.setup()

from documents import webhooks  # noqa: E402

app = Celery("scanner")
app.config_from_object("django.conf:settings", namespace="CELERY")

WHEN = datetime.datetime(2025, 11, 14, 15, 0, tzinfo=datetime.timezone.utc)


def document(number):
    return SimpleNamespace(
        id=number,
        title=f"Rechnung Nº {number}, Büro “Müller” 📄",
        created=WHEN,
        correspondent="Acme Corp" if number % 2 else None,
        document_type="Invoice",
        tags=["paid", "2025"],
    )


@app.task(name="scan")
def scan(number):
    """Every document is scanned; some have suggestions applied, some are proposed for deletion."""
    if number % 3 == 0:
        webhooks.send_scan_completed_webhook(
            document(number), {"tags_suggestions": [1], "workflow_suggestions": []}, 1, 3
        )
    elif number % 3 == 1:
        webhooks.send_suggestion_applied_webhook(
            document(number),
            {"tags": [SimpleNamespace(id=1, name="paid")], "correspondent": SimpleNamespace(id=2, name="Acme")},
            ["tags", "correspondent"],
        )
    else:
        webhooks.send_deletion_request_webhook(
            SimpleNamespace(
                id=number,
                status="pending",
                ai_reason="duplicate",
                documents=[document(number)],
                impact_summary={
                    "document_count": 1,
                    "affected_tags": ["paid"],
                    "affected_correspondents": [],
                    "date_range": {"earliest": WHEN.isoformat(), "latest": WHEN.isoformat()},
                },
                created_at=WHEN,
                user=SimpleNamespace(id=1, username="admin"),
            )
        )


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("events", type=int)
    arguments.add_argument("--first", type=int, default=0, help="number of the first document")
    arguments.add_argument("--queue", action="store_true", help="leave the work to the Celery worker")
    options = arguments.parse_args()
    for number in range(options.first, options.first + options.events):
        scan.delay(number) if options.queue else scan(number)


if __name__ == "__main__":
    main()
