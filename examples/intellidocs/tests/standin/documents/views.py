from django.http import JsonResponse

from documents.tasks import consume_file, propose_deletion


def post_document(request):
    """An upload leaves the work to the worker, as IntelliDocs' does."""
    if "delete" in request.GET:
        task = propose_deletion.delay([int(pk) for pk in request.GET.getlist("delete")])
    else:
        task = consume_file.delay(request.GET["title"], fail="fail" in request.GET)
    return JsonResponse({"task": task.id})
