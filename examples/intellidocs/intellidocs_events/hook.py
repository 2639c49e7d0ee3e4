"""Takes the place of documents.webhooks.send_ai_webhook once IntelliDocs itself has loaded that module.

The module must not be imported from here. Its Celery task is declared with
autoretry_for=None, on which Celery calls tuple() when its application is finalised:
imported before that, it stops the worker and beat, and every .delay() of the web process
raises. So a finder waits on sys.meta_path, as Python documents it for such ends, until
IntelliDocs imports the module, acts when the module's code has run, and goes away.

While the module's code runs, its declaration is repaired: autoretry_for=None becomes
"no exceptions", which is what it was meant to be. Without that, IntelliDocs' own first
import in each worker process fails, and with it the first event of each task.
"""

import contextlib
import functools
import importlib
import logging
import sys
import threading

from intellidocs_events import LOGGER
from intellidocs_events.emit import replacement_for

MODULE = "documents.webhooks"
SENDER = "send_ai_webhook"

logger = logging.getLogger(LOGGER)


def watch(producer):
    """Replace the sender now if IntelliDocs has loaded it, otherwise when it does."""
    module = sys.modules.get(MODULE)
    if module is not None:
        replace_sender(module, producer)
    elif not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder(producer))


class Finder:
    """Finds documents.webhooks as the other finders do, and is told when its code has run."""

    def __init__(self, producer):
        self.producer = producer

    def find_spec(self, name, path=None, target=None):
        if name != MODULE:
            return None
        for finder in sys.meta_path:
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find else None
            if spec is not None:
                self._hook(spec.loader)
                return spec
        return None

    def _hook(self, loader):
        """Have the loader, which is this module's alone, tell when it has run the module."""
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module):
            with contextlib.suppress(AttributeError):
                del loader.exec_module
            with tolerant_shared_task():
                execute(module)
            self._loaded(module)

        with contextlib.suppress(AttributeError):
            loader.exec_module = exec_module

    def _loaded(self, module):
        try:
            replace_sender(module, self.producer)
            # A new list: another thread may be on its way through the old one.
            sys.meta_path = [finder for finder in sys.meta_path if finder is not self]
        except Exception:
            logger.exception("intellidocs_events could not take the place of %s.%s", MODULE, SENDER)


def replace_sender(module, producer):
    """Put the replacement under the sender's name, there and wherever it was imported by name.

    IntelliDocs' helper functions look that name up in their module at each call.
    """
    original = getattr(module, SENDER, None)
    if not callable(original):
        logger.warning("this IntelliDocs has no %s.%s: only deletion requests become events", MODULE, SENDER)
    elif not getattr(original, "intellidocs_events", False):
        _replace_everywhere(original, replacement_for(original, producer))


def _replace_everywhere(old, new):
    for module in list(sys.modules.values()):
        members = getattr(module, "__dict__", None) or {}
        for name in [name for name, value in list(members.items()) if value is old]:
            setattr(module, name, new)


@contextlib.contextmanager
def tolerant_shared_task():
    """Within, for this thread, Celery's shared_task takes autoretry_for=None to mean ()."""
    places, original = _shared_task()
    if original is None:
        yield
        return
    thread = threading.get_ident()

    @functools.wraps(original)
    def shared_task(*args, **options):
        if threading.get_ident() == thread and options.get("autoretry_for", ()) is None:
            options["autoretry_for"] = ()
        return original(*args, **options)

    for place in places:
        place.shared_task = shared_task
    try:
        yield
    finally:
        for place in places:
            place.shared_task = original
        # Who was loaded meanwhile may hold it by name.
        _replace_everywhere(shared_task, original)


def _shared_task():
    """Where Celery keeps it, and itself. The module that is about to run imports Celery anyway."""
    try:
        places = [importlib.import_module("celery"), importlib.import_module("celery.app")]
        return places, places[0].shared_task
    except Exception:
        return [], None
