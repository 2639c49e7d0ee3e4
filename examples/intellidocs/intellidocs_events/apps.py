"""The Django application: has IntelliDocs' AI events written, and never stops IntelliDocs from starting."""

import logging

from django.apps import AppConfig

from intellidocs_events import LOGGER

logger = logging.getLogger(LOGGER)


class EventsConfig(AppConfig):
    name = "intellidocs_events"
    verbose_name = "AI events for intellidocs-agent"

    def ready(self):
        """What is wrong here is logged and left undone."""
        try:
            install()
        except Exception:
            logger.exception("intellidocs_events is not active, or not wholly: AI events may be missing")


def install():
    """Watch for IntelliDocs' sender and its deletion requests; a second call changes nothing.

    Nothing of IntelliDocs and nothing of Celery is imported here: that is left to
    IntelliDocs, at the moment it chooses.
    """
    from intellidocs_events import deletions, hook, versions
    from intellidocs_events.emit import producer_from_environment

    producer = producer_from_environment()
    if producer is None:
        logger.info("intellidocs_events is off (PAPERLESS_AI_EVENTS_TO=off)")
        return
    hook.watch(producer)
    watched = deletions.watch(producer)
    versions.log_what_comes(producer, watched)
