from django.urls import path
from documents import views

urlpatterns = [path("api/documents/post_document/", views.post_document)]
