"""The way into documents.webhooks, in processes of their own: each starts with nothing imported."""

import subprocess
import sys
from unittest import TestCase

from documents import webhooks
from intellidocs_events import apps, versions
from tests import HERE, STANDIN

PREAMBLE = f"""
import os, sys, types
sys.path[:0] = [{str(STANDIN)!r}, {str(HERE.parent)!r}]
os.environ["DJANGO_SETTINGS_MODULE"] = "paperless.settings"
import django
"""


def run(script):
    done = subprocess.run([sys.executable, "-c", PREAMBLE + script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


class HookTest(TestCase):
    def test_the_application_took_the_senders_place(self):
        self.assertTrue(webhooks.send_ai_webhook.intellidocs_events)
        self.assertEqual(webhooks.send_ai_webhook.__name__, "send_ai_webhook")

    def test_a_second_start_changes_nothing(self):
        before, path = webhooks.send_ai_webhook, list(sys.meta_path)
        apps.install()
        self.assertIs(webhooks.send_ai_webhook, before)
        self.assertEqual(sys.meta_path, path)

    def test_the_start_imports_nothing_of_intellidocs_and_finalises_nothing_of_celery(self):
        run("""
django.setup()
assert not {"documents.webhooks", "documents.ai_scanner", "documents.tasks", "httpx"} & set(sys.modules)
assert not sys.modules["paperless"].celery_app.finalized
""")

    def test_nothing_is_left_behind_once_the_module_is_there(self):
        run("""
import celery, celery.app
shared_task, path, hooks = celery.app.shared_task, list(sys.meta_path), list(sys.path_hooks)
assert celery.shared_task is shared_task
django.setup()
from documents import webhooks
assert webhooks.send_ai_webhook.intellidocs_events
assert webhooks.shared_task is celery.shared_task is celery.app.shared_task is shared_task
assert sys.meta_path == path and sys.path_hooks == hooks
assert "exec_module" not in vars(webhooks.__spec__.loader)
assert webhooks.send_ai_webhook_task.max_retries is None
""")

    def test_the_hosts_own_declaration_no_longer_stops_celery(self):
        run("""
django.setup()
import paperless
from documents import webhooks
paperless.celery_app.finalize()
assert "documents.webhooks.send_ai_webhook_task" in paperless.celery_app.tasks
""")

    def test_who_imported_the_function_by_name_sends_too(self):
        out = run("""
import documents
early = types.ModuleType("early")
sys.modules["early"] = early
django.setup()
import intellidocs_events.hook as hook
hook._replace_everywhere, kept = (lambda old, new: None), hook._replace_everywhere
from documents import webhooks
early.send = webhooks.send_ai_webhook
hook._replace_everywhere = kept
hook.replace_sender(webhooks, types.SimpleNamespace(submit=lambda event_type, payload: print(event_type)))
early.send("custom", {})
""")
        self.assertEqual(out, "custom\n")

    def test_off_leaves_intellidocs_as_it_is(self):
        run("""
os.environ["PAPERLESS_AI_EVENTS_TO"] = "off"
django.setup()
from documents import webhooks
assert not hasattr(webhooks.send_ai_webhook, "intellidocs_events")
""")


class VersionsTest(TestCase):
    def test_calls_are_told_from_definitions(self):
        self.assertEqual(versions.called_events(), ["suggestion_auto_applied", "scan_completed"])
