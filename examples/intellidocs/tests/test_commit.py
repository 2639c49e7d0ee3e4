"""Only what was committed, as it was at the call; and deletion requests, which nothing sends."""

import threading
from unittest import mock

from django.contrib.auth.models import User
from django.db import connection, transaction
from documents import webhooks
from documents.ai_deletion_manager import AIDeletionManager
from documents.models import DeletionRequest, Document
from documents.webhooks import send_ai_webhook
from intellidocs_events import deletions, emit
from tests.support import EventsTest


class Undone(Exception):
    pass


class CommitTest(EventsTest):
    def numbers(self):
        return [event["n"] for event in self.events()]

    def test_nothing_goes_out_before_the_commit(self):
        with transaction.atomic():
            send_ai_webhook("custom", {"n": 1})
            self.assertEqual(self.numbers(), [])
        self.assertEqual(self.numbers(), [1])

    def test_a_rollback_takes_events_back_savepoint_by_savepoint(self):
        for fails, want in [("outer", []), ("inner", [1, 4]), ("innermost", [1, 2, 4]), ("nothing", [1, 2, 3, 4])]:
            before = len(self.numbers())
            with self.subTest(fails=fails):

                def leave(block, fails=fails):
                    if block == fails:
                        raise Undone

                try:
                    with transaction.atomic():
                        send_ai_webhook("custom", {"n": 1})
                        try:
                            with transaction.atomic():
                                send_ai_webhook("custom", {"n": 2})
                                try:
                                    with transaction.atomic():
                                        send_ai_webhook("custom", {"n": 3})
                                        leave("innermost")
                                except Undone:
                                    pass
                                leave("inner")
                        except Undone:
                            pass
                        send_ai_webhook("custom", {"n": 4})
                        leave("outer")
                except Undone:
                    pass
                self.assertEqual(self.numbers()[before:], want)

    def test_a_transaction_marked_for_rollback_sends_nothing(self):
        with transaction.atomic():
            send_ai_webhook("custom", {"n": 1})
            transaction.set_rollback(True)
        self.assertEqual(self.numbers(), [])

    def test_the_payload_is_taken_at_the_call(self):
        payload = {"n": 1, "list": [1]}
        with transaction.atomic():
            send_ai_webhook("custom", payload)
            payload["n"] = 2
            payload["list"].append(2)
        (event,) = self.events()
        self.assertEqual((event["n"], event["list"]), (1, [1]))

    def test_what_others_do_at_the_commit_is_done_also_if_the_event_cannot_be_written(self):
        done = []

        class Failing:
            def emit(self, event):
                raise OSError("disk")

        with transaction.atomic():
            emit.Producer(Failing()).submit("custom", {"n": 1})
            transaction.on_commit(lambda: done.append(1))
        self.assertEqual(done, [1])

    def test_transactions_managed_by_hand_are_not_waited_for(self):
        transaction.set_autocommit(False)
        try:
            send_ai_webhook("custom", {"n": 1})
            self.assertEqual(self.numbers(), [1])
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)

    def test_threads_have_transactions_of_their_own(self):
        def other():
            send_ai_webhook("custom", {"n": 2})
            connection.close()

        with transaction.atomic():
            send_ai_webhook("custom", {"n": 1})
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
        self.assertEqual(self.numbers(), [2, 1])


class DeletionTest(EventsTest):
    def setUp(self):
        super().setUp()
        self.user = User.objects.get(username="admin")
        self.documents = [Document.objects.create(title=title) for title in ("one", "two")]

    def create(self, **fields):
        return DeletionRequest.objects.create(user=self.user, ai_reason="Duplicates", **fields)

    def titles(self):
        return [
            [document["title"] for document in event["deletion_request"]["documents"]] for event in self.events()
        ]

    def test_the_event_comes_once_with_its_documents_as_documented(self):
        request = AIDeletionManager.create_deletion_request(self.documents, "Duplicates", self.user)
        (event,) = self.events()
        told = event["deletion_request"]
        self.assertEqual(event["event_type"], "deletion_request_created")
        self.assertEqual(event["user"], {"id": self.user.id, "username": "admin"})
        self.assertEqual(
            set(told),
            {"id", "status", "ai_reason", "document_count", "documents", "impact_summary", "created_at"},
        )
        self.assertEqual((told["id"], told["status"], told["document_count"]), (request.id, "pending", 2))
        self.assertEqual(told["created_at"], request.created_at.isoformat())
        self.assertEqual(told["impact_summary"], request.impact_summary)
        self.assertEqual(set(told["documents"][0]), {"id", "title", "created", "correspondent", "document_type"})
        self.assertEqual(self.titles(), [["one", "two"]])

    def test_a_rollback_takes_it_back(self):
        try:
            with transaction.atomic():
                AIDeletionManager.create_deletion_request(self.documents, "Duplicates", self.user)
                raise Undone
        except Undone:
            pass
        self.assertEqual(self.events(), [])

    def test_a_version_whose_code_calls_the_helper_gives_one_event_too(self):
        def after(request):
            request.documents.set(self.documents)
            webhooks.send_deletion_request_webhook(request)

        def before(request):
            webhooks.send_deletion_request_webhook(request)
            request.documents.set(self.documents)

        def undone(request):
            request.documents.set(self.documents)
            try:
                with transaction.atomic():
                    webhooks.send_deletion_request_webhook(request)
                    raise Undone
            except Undone:
                pass

        for way in (after, before, undone):
            with self.subTest(way=way.__name__):
                count = len(self.events())
                with transaction.atomic():
                    way(self.create())
                self.assertEqual(self.titles()[count:], [["one", "two"]])
        with self.subTest("in autocommit"):
            count = len(self.events())
            after(self.create())
            self.assertEqual(self.titles()[count:], [["one", "two"]])

    def test_documents_added_one_by_one_in_a_transaction_are_one_event(self):
        with transaction.atomic():
            request = self.create()
            for document in self.documents:
                request.documents.add(document)
        self.assertEqual(self.titles(), [["one", "two"]])

    def test_documents_set_from_their_side_count_too(self):
        with transaction.atomic():
            request = self.create()
            for document in self.documents:
                document.deletion_requests.add(request)
        self.assertEqual(self.titles(), [["one", "two"]])

    def test_what_is_added_to_an_old_request_is_no_creation(self):
        request = self.create()
        request.documents.set(self.documents[:1])
        request.documents.add(self.documents[1])
        self.assertEqual(self.titles(), [["one"]])

    def test_a_persons_request_is_not_the_ais(self):
        self.create(requested_by_ai=False).documents.set(self.documents)
        self.assertEqual(self.events(), [])

    def test_a_query_that_fails_harms_neither_request_nor_transaction(self):
        def spoil(*args):
            connection.cursor().execute("SELECT nothing")

        with mock.patch.object(deletions, "_payload", spoil):
            with transaction.atomic():
                request = self.create()
                request.documents.set(self.documents)
        self.assertEqual(DeletionRequest.objects.get(pk=request.pk).documents.count(), 2)
        self.assertIn("no event for a deletion request: OperationalError", self.logged()[-1])
