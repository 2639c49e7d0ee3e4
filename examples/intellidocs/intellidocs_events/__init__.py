"""Writes IntelliDocs' AI events where intellidocs-agent reads them. See README.md."""

LOGGER = "paperless.ai_webhooks"
