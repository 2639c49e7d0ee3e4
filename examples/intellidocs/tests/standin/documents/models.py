from django.conf import settings
from django.db import models
from django.utils import timezone


class Named(models.Model):
    name = models.CharField(max_length=128)

    class Meta:
        abstract = True

    def __str__(self):
        return self.name


class Correspondent(Named):
    pass


class DocumentType(Named):
    pass


class Tag(Named):
    pass


class Document(models.Model):
    title = models.CharField(max_length=256)
    created = models.DateTimeField(default=timezone.now)
    correspondent = models.ForeignKey(Correspondent, null=True, on_delete=models.SET_NULL)
    document_type = models.ForeignKey(DocumentType, null=True, on_delete=models.SET_NULL)
    tags = models.ManyToManyField(Tag)


class DeletionRequest(models.Model):
    """A proposal that a person is to approve."""

    created_at = models.DateTimeField(auto_now_add=True)
    requested_by_ai = models.BooleanField(default=True)
    ai_reason = models.TextField(default="")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    status = models.CharField(max_length=20, default="pending")
    documents = models.ManyToManyField(Document, related_name="deletion_requests")
    impact_summary = models.JSONField(default=dict)
