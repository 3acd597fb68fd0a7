"""Celery with flags: `celery -A tasks worker`, with ROLLOUT_SERVER and ROLLOUT_TOKEN set."""

import os

from celery import Celery

from rollout_sdk import Client, current_scope
from rollout_sdk.middleware.celery import install

app = Celery("shop", broker=os.environ.get("BROKER_URL", "redis://localhost"))
app.config_from_envvar("CELERY_CONFIG_MODULE", silent=True)
client = Client.from_env()
install(app, client)


@app.task
def ship(order: int) -> None:
    """Ship an order, and say that it was one: of whatever arm its checkout was decided in."""
    print(f"shipping order {order}")
    scope = current_scope()
    if scope is not None:
        scope.record("orders.conversion")
