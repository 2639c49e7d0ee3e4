"""What IntelliDocs' scanner does that matters here: it sends within its transaction, and imports when it sends."""

import logging

from django.db import transaction

from documents.models import Correspondent, Tag

logger = logging.getLogger("paperless.ai_scanner")


class ScanResult:
    def __init__(self):
        self.tags = [(tag.id, 0.85 - n * 0.15) for n, tag in enumerate(Tag.objects.order_by("id"))]
        self.correspondent = (Correspondent.objects.first().id, 0.85)

    def to_dict(self):
        return {
            "tags": self.tags,
            "correspondent": self.correspondent,
            "document_type": None,
            "storage_path": None,
            "custom_fields": {"7": ["2025-11-14", 0.9]},
            "workflows": [],
        }


def apply_scan_results(document, scan_result, fail_at_the_end=False):
    applied_fields = []
    with transaction.atomic():
        for pk, confidence in scan_result.tags:
            if confidence >= 0.8:
                document.tags.add(pk)
                applied_fields.append("tags")
        document.correspondent_id, _ = scan_result.correspondent
        applied_fields.append("correspondent")
        document.save()
        try:
            from documents.webhooks import send_suggestion_applied_webhook

            send_suggestion_applied_webhook(document, scan_result.to_dict(), applied_fields)
        except Exception as error:
            logger.warning(f"no webhook for the suggestions: {error}")
        try:
            from documents.webhooks import send_scan_completed_webhook

            send_scan_completed_webhook(document, scan_result.to_dict(), len(applied_fields), 3)
        except Exception as error:
            logger.warning(f"no webhook for the scan: {error}")
        if fail_at_the_end:
            raise RuntimeError("the database does not like it")
