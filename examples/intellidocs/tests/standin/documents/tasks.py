import logging

from celery import shared_task
from django.conf import settings
from django.contrib.auth.models import User

from documents.ai_deletion_manager import AIDeletionManager
from documents.ai_scanner import ScanResult, apply_scan_results
from documents.models import Document

logger = logging.getLogger("paperless.tasks")


def _done(name):
    (settings.DATA_DIR / f"done-{name}").touch()


@shared_task
def consume_file(title, fail=False):
    """Titles come from mail and are logged as they are."""
    logger.info(f"Consuming {title}")
    document = Document.objects.create(title=title)
    try:
        apply_scan_results(document, ScanResult(), fail)
    except RuntimeError as error:
        logger.error(f"Scan of {title}: {error}")
    _done(f"document-{document.id}")
    return document.id


@shared_task
def propose_deletion(pks):
    documents = list(Document.objects.filter(pk__in=pks).order_by("pk"))
    AIDeletionManager.create_deletion_request(documents, "Duplicates", User.objects.first())
    _done("deletion")


@shared_task
def sign_of_life():
    _done("beat")
