from django.core.management import BaseCommand

from documents.tasks import consume_file


class Command(BaseCommand):
    help = "Queues a document for the worker, or, with --here, takes it in this process."

    def add_arguments(self, parser):
        parser.add_argument("title")
        parser.add_argument("--here", action="store_true")

    def handle(self, *args, title, here, **options):
        consume_file(title) if here else consume_file.delay(title)
