"""What of IntelliDocs' settings the events depend on."""

import os
from pathlib import Path

SRC = Path(__file__).resolve().parent.parent
_conf = SRC.parent / "paperless.conf"
for _line in _conf.read_text().splitlines() if _conf.exists() else []:
    _name, _separator, _value = _line.partition("=")
    if _separator and not _name.startswith("#"):
        os.environ.setdefault(_name.strip(), _value.strip())

DATA_DIR = Path(os.environ.get("PAPERLESS_DATA_DIR", SRC.parent / "data"))
LOGGING_DIR = Path(os.environ.get("PAPERLESS_LOGGING_DIR", DATA_DIR / "log"))
LOGGING_DIR.mkdir(parents=True, exist_ok=True)

SECRET_KEY = os.environ.get("PAPERLESS_SECRET_KEY", "only for tests")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "paperless.urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        "OPTIONS": {"timeout": 60},
        "TEST": {"NAME": ":memory:"},
    }
}
PAPERLESS_AI_WEBHOOKS_ENABLED = os.environ.get("PAPERLESS_AI_WEBHOOKS_ENABLED", "false") == "true"

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "documents.apps.DocumentsConfig"]
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
            "maxBytes": int(os.environ.get("PAPERLESS_LOGROTATE_MAX_SIZE", 1024 * 1024)),
            "backupCount": int(os.environ.get("PAPERLESS_LOGROTATE_MAX_BACKUPS", 20)),
        },
    },
    "loggers": {"paperless": {"handlers": ["file_paperless"], "level": "DEBUG"}},
}

CELERY_BROKER_URL = os.environ.get("PAPERLESS_REDIS", "redis://localhost:6379")
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_CONCURRENCY = 2
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1
# Seldom enough: a worker that takes a new process for each task does one or two a second, and documents wait behind these.
CELERY_BEAT_SCHEDULE = {"Sign of life": {"task": "documents.tasks.sign_of_life", "schedule": 2.0}}
CELERY_BEAT_SCHEDULE_FILENAME = str(DATA_DIR / "celerybeat-schedule.db")
