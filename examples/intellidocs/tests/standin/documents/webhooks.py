"""The names, arguments and payload shapes of IntelliDocs' AI webhooks."""

from django.conf import settings
from django.utils import timezone

sent = []


def send_ai_webhook(event_type, payload, webhook_urls=None):
    if not settings.PAPERLESS_AI_WEBHOOKS_ENABLED:
        return []
    payload["event_type"] = event_type
    payload["timestamp"] = timezone.now().isoformat()
    payload["source"] = "intellidocs-ai"
    sent.append(payload)
    return [payload]


def _named(thing):
    return {"id": thing.id, "name": thing.name}


def _document(document):
    return {
        "id": document.id,
        "title": document.title,
        "created": document.created.isoformat(),
        "correspondent": document.correspondent,
        "document_type": document.document_type,
    }


def send_deletion_request_webhook(deletion_request):
    documents = [_document(document) for document in deletion_request.documents]
    return send_ai_webhook(
        "deletion_request_created",
        {
            "deletion_request": {
                "id": deletion_request.id,
                "status": deletion_request.status,
                "ai_reason": deletion_request.ai_reason,
                "document_count": len(documents),
                "documents": documents,
                "impact_summary": deletion_request.impact_summary,
                "created_at": deletion_request.created_at.isoformat(),
            },
            "user": {"id": deletion_request.user.id, "username": deletion_request.user.username},
        },
    )


def send_suggestion_applied_webhook(document, suggestions, applied_fields):
    applied = {}
    for field in applied_fields:
        value = suggestions[field]
        applied[field] = [_named(tag) for tag in value] if isinstance(value, list) else _named(value)
    return send_ai_webhook(
        "suggestion_auto_applied",
        {
            "document": {**_document(document), "tags": document.tags},
            "applied_suggestions": applied,
            "auto_applied": True,
        },
    )


def send_scan_completed_webhook(document, scan_results, auto_applied_count, suggestions_count):
    return send_ai_webhook(
        "scan_completed",
        {
            "document": _document(document),
            "scan_summary": {
                "auto_applied_count": auto_applied_count,
                "suggestions_count": suggestions_count,
                **{f"has_{name}": bool(found) for name, found in scan_results.items()},
            },
            "scan_completed_at": timezone.now().isoformat(),
        },
    )
