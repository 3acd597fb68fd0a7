"""Two views: one made at once, one streamed."""

from collections.abc import Iterator

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.urls import path

from rollout_sdk import current_scope


def checkout(request: HttpRequest) -> JsonResponse:
    """Serve one of two pages."""
    flags = request.rollout
    page = "one click" if flags.enabled("checkout-v2") else "three steps"
    flags.record("checkout.error_rate", value=False)
    return JsonResponse({"checkout": page})


def products(_request: HttpRequest) -> StreamingHttpResponse:
    """Stream as many products as the flag says; deep code finds the scope by itself."""

    def lines() -> Iterator[str]:
        scope = current_scope()
        limit = scope.integer("page-limit", default=1) if scope is not None else 1
        for number in range(limit):
            yield f"product {number}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


urlpatterns = [path("checkout", checkout), path("products", products)]
