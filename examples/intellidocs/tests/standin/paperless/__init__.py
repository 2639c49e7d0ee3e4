"""As in IntelliDocs, who imports this package has its Celery application."""

from .celery import app as celery_app

__all__ = ("celery_app",)
