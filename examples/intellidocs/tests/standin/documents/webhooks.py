"""IntelliDocs' AI webhooks: the declarations, names and payloads of the real ones, not their code.

Two of its traits matter most. The task's declaration cannot be finalised by Celery, and
applied_suggestions holds what the scan found, not what was applied.
"""

import logging

import httpx
from celery import shared_task
from django.conf import settings
from django.db import models
from django.utils import timezone

logger = logging.getLogger("paperless.ai_webhooks")


class AIWebhookConfig(models.Model):
    name = models.CharField(max_length=128, unique=True)
    enabled = models.BooleanField(default=True)
    url = models.CharField(max_length=512)
    events = models.JSONField(default=list)
    headers = models.JSONField(default=dict, blank=True)
    secret = models.CharField(max_length=256, blank=True)
    max_retries = models.PositiveIntegerField(default=3)
    retry_delay = models.PositiveIntegerField(default=60)
    timeout = models.PositiveIntegerField(default=10)

    class Meta:
        app_label = "documents"
        ordering = ("name",)


class AIWebhookEvent(models.Model):
    event_type = models.CharField(max_length=50)
    webhook_url = models.CharField(max_length=512)
    payload = models.JSONField()
    status = models.CharField(max_length=20, default="pending")

    class Meta:
        app_label = "documents"


@shared_task(bind=True, max_retries=None, autoretry_for=None)
def send_ai_webhook_task(self, webhook_event_id):
    event = AIWebhookEvent.objects.get(pk=webhook_event_id)
    response = httpx.post(event.webhook_url, json=event.payload)
    logger.info(f"AI webhook to {event.webhook_url}: {response.status_code} {response.text[:200]}")


def send_ai_webhook(event_type, payload, webhook_urls=None):
    if not settings.PAPERLESS_AI_WEBHOOKS_ENABLED:
        logger.debug("AI webhooks are disabled")
        return []
    payload["event_type"] = event_type
    payload["timestamp"] = timezone.now().isoformat()
    payload["source"] = "intellidocs-ai"
    urls = webhook_urls or [
        c.url for c in AIWebhookConfig.objects.filter(enabled=True) if not c.events or event_type in c.events
    ]
    made = [AIWebhookEvent.objects.create(event_type=event_type, webhook_url=url, payload=payload) for url in urls]
    for event in made:
        send_ai_webhook_task.delay(event.id)
    return made


def _summary(document):
    return {
        "id": document.id,
        "title": document.title,
        "created": document.created.isoformat() if document.created else None,
        "correspondent": document.correspondent.name if document.correspondent else None,
        "document_type": document.document_type.name if document.document_type else None,
    }


def send_deletion_request_webhook(deletion_request):
    documents = [_summary(document) for document in deletion_request.documents.all()]
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
    return send_ai_webhook(
        "suggestion_auto_applied",
        {
            "document": {**_summary(document), "tags": [tag.name for tag in document.tags.all()]},
            "applied_suggestions": {field: suggestions[field] for field in applied_fields if field in suggestions},
            "auto_applied": True,
        },
    )


def send_scan_completed_webhook(document, scan_results, auto_applied_count, suggestions_count):
    return send_ai_webhook(
        "scan_completed",
        {
            "document": _summary(document),
            "scan_summary": {
                "auto_applied_count": auto_applied_count,
                "suggestions_count": suggestions_count,
                "has_tags_suggestions": "tags" in scan_results,
                "has_correspondent_suggestion": "correspondent" in scan_results,
                "has_type_suggestion": "document_type" in scan_results,
                "has_storage_path_suggestion": "storage_path" in scan_results,
                "has_custom_fields": "custom_fields" in scan_results and scan_results["custom_fields"],
                "has_workflow_suggestions": "workflows" in scan_results and scan_results["workflows"],
            },
            "scan_completed_at": timezone.now().isoformat(),
        },
    )
