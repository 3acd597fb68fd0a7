"""Rollouts and freezes in files."""

import pytest

from rollout_sdk.engine.model import InCohort, Json, Leaf
from rollout_server.domain.files import read
from rollout_server.domain.files.rollouts import read_freeze, read_rollout, write_freeze, write_rollout
from rollout_server.domain.files.scalars import Unquoted
from rollout_server.domain.files.shape import Reading
from rollout_server.domain.rollouts import FreezeSpec, RolloutSpec


def test_everything_a_rollout_can_say() -> None:
    """Written as people write it, read back the same."""
    spec = RolloutSpec(
        "checkout",
        "off",
        "on",
        "careful",
        never=(InCohort("regulated"), Leaf("country", "in", ("KP",))),
        start="2026-12-01T09:00:00+09:00",
        after_environment="staging",
        salt="imported-salt-01",
    )
    tree = write_rollout(spec)
    assert tree["never"] == ["regulated", {"attribute": "country", "in": ["KP"]}]
    assert tree["after"] == {"environment": "staging"}
    reading = Reading()
    assert read_rollout(reading, tree) == spec
    assert reading.problems == []


def test_on_and_off_need_no_quotes_where_a_variant_is_wanted() -> None:
    """As in flags."""
    reading = Reading()
    spec = read_rollout(reading, {"flag": "a", "from": Unquoted("off"), "to": Unquoted("on"), "pipeline": "p"})
    assert (spec.from_variant, spec.to_variant, reading.problems) == ("off", "on", [])


def test_everything_a_freeze_can_say() -> None:
    """Moments stay as they were written; what they mean is not looked at here."""
    spec = FreezeSpec("FRI 16:00", "MON 08:00", "Asia/Seoul", ("web",), ("incident-lead",), 900_000)
    tree: Json = {
        "from": "FRI 16:00",
        "to": "MON 08:00",
        "zone": "Asia/Seoul",
        "tags": ["web"],
        "except": ["incident-lead"],
        "stagger": "15m",
    }
    assert write_freeze(spec) == tree
    reading = Reading()
    assert read_freeze(reading, tree) == spec
    assert reading.problems == []


@pytest.mark.parametrize(
    ("kind", "spec", "places"),
    [
        ("Rollout", {}, ["spec.flag", "spec.from", "spec.to", "spec.pipeline"]),
        ("Rollout", {"flag": "A", "from": "a", "to": "b", "pipeline": "p"}, ["spec.flag"]),
        ("Rollout", {"flag": "a", "from": True, "to": "b", "pipeline": "p"}, ["spec.from"]),
        ("Rollout", {"flag": "a", "from": "a", "to": "b", "pipeline": "p", "after": {}}, ["spec.after.environment"]),
        ("Rollout", {"flag": "a", "from": "a", "to": "b", "pipeline": "p", "salt": "short"}, ["spec.salt"]),
        ("Freeze", {}, ["spec.from", "spec.to"]),
        ("Freeze", {"from": "a", "to": "b", "stagger": "-1m"}, ["spec.stagger"]),
        ("Freeze", {"from": "a", "to": "b", "unless": []}, ["spec.unless"]),
    ],
)
def test_what_cannot_be_meant_is_refused(kind: str, spec: Json, places: list[str]) -> None:
    """Every mistake at its place."""
    assert [one.path for one in read({"kind": kind, "metadata": {"key": "x"}, "spec": spec})[1]] == places
