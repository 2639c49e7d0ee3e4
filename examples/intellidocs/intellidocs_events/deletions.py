"""Deletion requests that the AI makes: IntelliDocs has a helper for their event, and calls it nowhere.

The request is created first and its documents are set afterwards, so the event is
built when the documents are there.
"""

import logging

from django.apps import apps
from django.db import transaction
from django.db.models.signals import m2m_changed, post_save

from intellidocs_events import LOGGER
from intellidocs_events.emit import DELETION_REQUEST, Recent
from intellidocs_events.sinks import one_line

UID = "intellidocs_events"

logger = logging.getLogger(LOGGER)


def watch(producer):
    """Listen for new requests; returns whether this IntelliDocs has them."""
    try:
        model = apps.get_model("documents", "DeletionRequest")
        through = model.documents.through
    except (LookupError, AttributeError):
        return False
    watcher = Watcher(producer, model)
    # Django keeps weak references unless told otherwise.
    post_save.connect(watcher.created, sender=model, weak=False, dispatch_uid=UID)
    m2m_changed.connect(watcher.documents_set, sender=through, weak=False, dispatch_uid=UID)
    return True


class Watcher:
    def __init__(self, producer, model):
        self.producer = producer
        self.model = model
        # Only requests made by this process: what is added to an old one later is no creation.
        self.fresh = Recent()

    def created(self, instance, created=False, raw=False, **kwargs):
        if not created or raw:
            return
        # A number may have been another's before, whose transaction was rolled back.
        self.fresh.discard(instance.pk)
        if getattr(instance, "requested_by_ai", True):
            self.fresh.add(instance.pk)

    def documents_set(self, instance, action, reverse=False, pk_set=None, using=None, **kwargs):
        if action != "post_add":
            return
        try:
            for pk in (pk_set or ()) if reverse else [instance.pk]:
                if pk in self.fresh:
                    self._submit(pk if reverse else instance, using)
        except Exception as error:
            logger.error("no event for a deletion request: %s", one_line(error))

    def _submit(self, request, using):
        # In a savepoint: a query that fails must not spoil the transaction around it.
        with transaction.atomic(using=using):
            if not isinstance(request, self.model):
                request = self.model._base_manager.using(using).get(pk=request)
            payload = _payload(request, using)
        self.producer.submit(DELETION_REQUEST, payload, using=using, from_signal=True)


def _payload(request, using):
    """As IntelliDocs' documentation has it."""
    documents = [_document(document) for document in _with_names(request.documents.using(using))]
    user = getattr(request, "user", None)
    return {
        "deletion_request": {
            "id": request.pk,
            "status": getattr(request, "status", None),
            "ai_reason": getattr(request, "ai_reason", None),
            "document_count": len(documents),
            "documents": documents,
            "impact_summary": getattr(request, "impact_summary", None),
            "created_at": _iso(getattr(request, "created_at", None)),
        },
        "user": None if user is None else {"id": user.pk, "username": user.get_username()},
    }


def _with_names(documents):
    fields = documents.model._meta.get_fields()
    names = [f.name for f in fields if f.name in {"correspondent", "document_type"} and f.many_to_one]
    return documents.select_related(*names) if names else documents.all()


def _document(document):
    return {
        "id": document.pk,
        "title": getattr(document, "title", None),
        "created": _iso(getattr(document, "created", None)),
        "correspondent": _name(getattr(document, "correspondent", None)),
        "document_type": _name(getattr(document, "document_type", None)),
    }


def _name(thing):
    return None if thing is None else getattr(thing, "name", None) or str(thing)


def _iso(time):
    return time.isoformat() if hasattr(time, "isoformat") else time
