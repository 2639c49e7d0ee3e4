import logging

from documents.models import DeletionRequest

logger = logging.getLogger("paperless.ai_deletion")


class AIDeletionManager:
    @staticmethod
    def create_deletion_request(documents, reason, user):
        """Calls no webhook: nothing in IntelliDocs does for a deletion request."""
        request = DeletionRequest.objects.create(
            requested_by_ai=True,
            ai_reason=reason,
            user=user,
            impact_summary={
                "document_count": len(documents),
                "documents": [{"id": document.id, "title": document.title} for document in documents],
                "affected_tags": sorted({tag.name for document in documents for tag in document.tags.all()}),
                "affected_correspondents": [],
                "date_range": {"earliest": None, "latest": None},
                "total_size_bytes": 4096,
            },
        )
        request.documents.set(documents)
        logger.info(f"deletion request {request.id} for {len(documents)} documents")
        return request
