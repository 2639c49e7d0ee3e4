#!/usr/bin/env python3
"""IntelliDocs' manage.py, down to what the examples' pages use: reads ../paperless.conf."""

import os
import sys
from pathlib import Path


def main():
    conf = Path(__file__).resolve().parent.parent / "paperless.conf"
    lines = conf.read_text().splitlines() if conf.exists() else []
    for line in lines:
        name, separator, value = line.partition("=")
        if separator and not name.startswith("#"):
            os.environ.setdefault(name.strip(), value.strip())
    os.environ.setdefault("PAPERLESS_DATA_DIR", str(conf.parent / "data"))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
