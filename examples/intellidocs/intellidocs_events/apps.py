"""The Django application: takes the place of IntelliDocs' webhook sender."""

import logging
import sys

from django.apps import AppConfig

from intellidocs_events.emit import LOGGER, emitter_from_environment, replacement_for

logger = logging.getLogger(LOGGER)


class EventsConfig(AppConfig):
    name = "intellidocs_events"
    verbose_name = "AI events for intellidocs-agent"

    def ready(self):
        """Never stops IntelliDocs from starting: what is wrong is logged and left undone."""
        try:
            install()
        except Exception:
            logger.exception("intellidocs_events is not active: AI events are not written")


def install():
    """Put the emitting function in place of documents.webhooks.send_ai_webhook.

    IntelliDocs' helper functions look that name up in their module at each call, so
    every event comes through. A second call changes nothing.
    """
    emitter = emitter_from_environment()
    if emitter is None:
        logger.info("intellidocs_events is off (PAPERLESS_AI_EVENTS_TO=off)")
        return
    try:
        from documents import webhooks

        original = webhooks.send_ai_webhook
    except (ImportError, AttributeError) as error:
        logger.warning(
            "intellidocs_events is not active: this IntelliDocs has no documents.webhooks.send_ai_webhook (%s)",
            error,
        )
        return
    if getattr(original, "intellidocs_events", False):
        return
    replacement = replacement_for(original, emitter)
    webhooks.send_ai_webhook = replacement
    # A module that was loaded earlier may have taken the function itself ("from … import").
    for module in list(sys.modules.values()):
        members = getattr(module, "__dict__", None) or {}
        for name in [name for name, value in list(members.items()) if value is original]:
            setattr(module, name, replacement)
