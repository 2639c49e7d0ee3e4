"""Tests of intellidocs_events beside a stand-in for IntelliDocs: python3 -m unittest"""

import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
STANDIN = HERE / "standin"
sys.path[:0] = [str(STANDIN), str(HERE.parent)]
os.environ["DJANGO_SETTINGS_MODULE"] = "paperless.settings"
# What a person has set for a container of their own must not enter the tests.
for name in [name for name in os.environ if name.startswith("PAPERLESS_")]:
    del os.environ[name]
_data = tempfile.TemporaryDirectory(prefix="intellidocs-events-")
os.environ["PAPERLESS_DATA_DIR"] = _data.name
os.environ["PAPERLESS_REDIS"] = "memory://"  # nobody takes what is queued here
os.environ["PAPERLESS_APPS"] = "intellidocs_events.apps.EventsConfig"

import django  # noqa: E402

django.setup()

from django.core.management import call_command  # noqa: E402

call_command("prepare")
