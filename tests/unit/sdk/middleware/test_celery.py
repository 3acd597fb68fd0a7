"""Celery: scopes of tasks, in this process. A real worker runs in tests/e2e."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, shared_task, signals

from rollout_sdk import Arm, Client, Context, Scope, current_scope
from rollout_sdk.middleware import celery as celery_middleware
from rollout_sdk.middleware.celery import HEADER, install
from rollout_sdk.testing import RulesetClient
from tests.small_server import free_port
from tests.telemetry_world import launch_ruleset

USER = Context("u-1")


@pytest.fixture
def client() -> RulesetClient:
    return RulesetClient(launch_ruleset())


@pytest.fixture
def app() -> Celery:
    return Celery("test", broker="memory://", backend="cache+memory://", set_as_current=False)


@pytest.fixture
def installed(app: Celery, client: RulesetClient) -> Iterator[None]:
    uninstall = install(app, client, lambda task: Context(task.request.args[0]) if task.request.args else None)
    yield
    uninstall()


def sent_headers(app: Celery, task: Any) -> dict[str, Any]:
    """What a message of a task carries."""
    found: list[dict[str, Any]] = []

    def look(headers: dict[str, Any], **_: object) -> None:
        found.append(dict(headers))

    signals.after_task_publish.connect(look, weak=False)
    try:
        task.delay("u-1")
    finally:
        signals.after_task_publish.disconnect(look)
    (headers,) = found
    return headers


@pytest.mark.usefixtures("installed")
def test_a_message_carries_the_senders_scope(app: Celery, client: RulesetClient) -> None:
    """As a token that holds no key of a unit; without a scope it carries nothing."""

    def work(_user: str) -> None:
        """Never runs."""

    task = app.task(work, name="t", shared=False)
    assert HEADER not in sent_headers(app, task)
    with client.scope(USER) as scope:
        scope.enabled("checkout")
        headers = sent_headers(app, task)
    assert headers[HEADER] == scope.carry()
    assert "u-1" not in headers[HEADER]


@pytest.mark.usefixtures("installed")
def test_a_task_has_a_scope_and_leaves_it(app: Celery, client: RulesetClient) -> None:
    """With the context that the function makes of the task, also where the task fails."""
    seen: list[Scope | None] = []

    def work(user: str) -> None:
        scope = current_scope()
        seen.append(scope)
        assert scope is not None
        assert scope.context.units == {"user": user}
        raise ValueError(user)

    task = app.task(work, name="t", shared=False)
    assert task.apply(("u-7",)).failed()
    assert isinstance(seen[0], Scope)
    assert current_scope() is None


@pytest.mark.usefixtures("installed")
def test_an_eager_task_goes_on_in_the_scope_around_it(app: Celery, client: RulesetClient) -> None:
    """As it would in a worker; and the sender's scope is there again afterwards."""

    def work(_user: str) -> None:
        scope = current_scope()
        assert scope is not None
        scope.record("errors")

    task = app.task(work, name="t", shared=False)
    with client.scope(USER) as scope:
        scope.enabled("checkout")
        task.apply(("u-1",)).get()
        assert current_scope() is scope
    window = client._runtime.counting.rotate()
    (arms,) = window.runs.values()
    ((key, sums),) = arms.items()
    assert key.arm in Arm
    assert sums.events["errors"].n.total() == 1


@pytest.mark.usefixtures("installed")
def test_tasks_of_another_application_are_left_alone() -> None:
    """Signals are of the process; the scope is of one application."""
    other = Celery("other", broker="memory://", set_as_current=False)

    def work() -> None:
        assert current_scope() is None

    task = other.task(work, name="t", shared=False)
    task.apply().get()


def test_uninstalling_ends_it(app: Celery, client: RulesetClient) -> None:
    """A test may put it back as it was."""
    uninstall = install(app, client)
    uninstall()

    def work() -> None:
        assert current_scope() is None

    task = app.task(work, name="t", shared=False)
    task.apply().get()


def test_a_worker_waits_for_its_first_rules_but_not_for_long(
    app: Celery, client: RulesetClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with rules goes on at once; one without waits, and then works by defaults."""
    monkeypatch.setattr(celery_middleware, "_RULES_S", 0.01)
    for one in (client, Client(f"127.0.0.1:{free_port()}", token="rg_x")):
        uninstall = install(app, one)
        signals.worker_init.send(sender=None)
        uninstall()
        one.close()


@pytest.mark.usefixtures("installed")
def test_a_shared_task_belongs_to_the_application_that_took_it(client: RulesetClient) -> None:
    """As Django's applications have them."""
    seen: list[Scope | None] = []

    def work() -> None:
        seen.append(current_scope())

    mine = Celery("mine", broker="memory://", set_as_current=True)
    uninstall = install(mine, client)
    shared_task(work, name="shared").apply().get()
    uninstall()
    assert isinstance(seen[0], Scope)
    assert current_scope() is None


@pytest.mark.usefixtures("installed")
def test_installing_twice_leaves_nothing_behind(app: Celery, client: RulesetClient) -> None:
    """A module that is imported under two names does that."""
    uninstall = install(app, client)

    def work() -> None:
        assert current_scope() is not None

    task = app.task(work, name="t", shared=False)
    task.apply().get()
    uninstall()
    assert current_scope() is None
