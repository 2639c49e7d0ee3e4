"""What of IntelliDocs' settings the events depend on."""

import os
from pathlib import Path

DATA_DIR = Path(os.environ["PAPERLESS_DATA_DIR"])
LOGGING_DIR = DATA_DIR / "log"
LOGGING_DIR.mkdir(parents=True, exist_ok=True)

SECRET_KEY = "only for tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
PAPERLESS_AI_WEBHOOKS_ENABLED = os.environ.get("PAPERLESS_AI_WEBHOOKS_ENABLED", "false") == "true"

INSTALLED_APPS = ["django.contrib.contenttypes", "documents"]
INSTALLED_APPS += [app for app in os.environ.get("PAPERLESS_APPS", "").split(",") if app]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "verbose": {"format": "[{asctime}] [{levelname}] [{name}] {message}", "style": "{"},
    },
    "handlers": {
        "file_paperless": {
            "class": "concurrent_log_handler.ConcurrentRotatingFileHandler",
            "formatter": "verbose",
            "filename": str(LOGGING_DIR / "paperless.log"),
            "maxBytes": 1024 * 1024,
            "backupCount": 20,
        },
    },
    "loggers": {"paperless": {"handlers": ["file_paperless"], "level": "DEBUG"}},
}

CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_URL = "filesystem://"
_queue = DATA_DIR / "queue"
_queue.mkdir(exist_ok=True)
CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_in": str(_queue), "data_folder_out": str(_queue)}
