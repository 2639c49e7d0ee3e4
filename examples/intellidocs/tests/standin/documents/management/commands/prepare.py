from django.contrib.auth.models import User
from django.core.management import BaseCommand, call_command

from documents.models import Correspondent, DocumentType, Tag


class Command(BaseCommand):
    help = "The database, with what a scan can suggest."

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0)
        User.objects.create(username="admin")
        Correspondent.objects.create(name="Acme Corp")
        DocumentType.objects.create(name="Invoice")
        for name in ["contracts", "2025"]:
            Tag.objects.create(name=name)
