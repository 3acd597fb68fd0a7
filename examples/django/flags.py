"""The one client of this process, and whom its requests are for; the settings name both."""

from django.http import HttpRequest

from rollout_sdk import Client, Context

client = Client.from_env()


def visitor(request: HttpRequest) -> Context:
    """Return whom a request is for: usually `Context(str(request.user.pk))`."""
    return Context(request.headers.get("X-User"), country=request.headers.get("X-Country"))
