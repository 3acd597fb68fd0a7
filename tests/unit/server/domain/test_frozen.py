"""Freezes of a state, and whose turn it is after them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout_server.domain.frozen import freezes_of, is_frozen, line_of, may_grow, surprises, tags_of, turn_ms
from rollout_server.domain.rollouts import FreezeSpec
from rollout_server.errors import Refused
from tests import small_rollouts
from tests.rollout_room import documents, room
from tests.small_environment import document

OVER = {
    "from": "2027-01-01T00:00:00Z",
    "to": "2027-01-15T08:00:30Z",
    "tags": ["web"],
    "except": ["mia"],
    "stagger": "1m",
}
SECOND = [
    document("Flag", "cart", {"rules": [{"id": "launch", "rollout": "cart-launch"}]}, tags=["web"]),
    document("Rollout", "cart-launch", {"flag": "cart", "from": "off", "to": "on", "pipeline": "quick"}),
]


async def test_tags_decide_and_names_exempt() -> None:
    """A flag without the tag, and a person who is exempt, go on."""
    async with room(*documents(), document("Freeze", "f", OVER), document("Flag", "other", {})) as stand:
        resources, now_ms = stand.environment.state.resources, stand.clock.now_ms()
        assert tags_of(resources, "checkout") == ("web",)
        assert is_frozen(resources, "checkout", now_ms)
        assert not is_frozen(resources, "checkout", now_ms, frozenset({"mia"}))
        assert not is_frozen(resources, "other", now_ms)
        assert not is_frozen(resources, "nothing", now_ms)
        assert len(freezes_of(resources.values())) == 1


async def test_what_a_frozen_flag_requires_is_frozen_too() -> None:
    """At any remove: its growth would be theirs. What requires a frozen flag is not, for nothing above it grows."""

    def needs(parent: str) -> list[dict[str, object]]:
        return [{"flag": parent, "variants": ["on"]}]

    given = [
        *(one for one in documents() if one.key != "checkout"),
        document("Flag", "checkout", {"rules": [{"id": "launch", "rollout": "launch"}]}),
        document("Flag", "cart", {"requires": needs("checkout")}),
        document("Flag", "gift", {"requires": needs("cart")}, tags=["web"]),
        document("Flag", "card", {"requires": needs("gift")}),
        document("Freeze", "f", OVER),
    ]
    async with room(*given) as stand:
        resources, now_ms = stand.environment.state.resources, stand.clock.now_ms()
        assert [key for key in ("checkout", "cart", "gift", "card") if is_frozen(resources, key, now_ms)] == [
            "checkout",
            "cart",
            "gift",
        ]
        with pytest.raises(Refused, match="freeze"):
            await stand.start("launch", who="kai")
        await stand.start("launch", who="mia")
        assert line_of(stand.environment.state.resources)[0].tags == ("web",)


async def test_after_a_freeze_one_by_one() -> None:
    """Who was under way longest goes first, the next one a stagger later."""
    async with room(*documents(), *SECOND) as stand:
        await stand.start("launch")
        stand.clock.advance(1_000)
        await stand.start("cart-launch")
        assert [one.rollout for one in line_of(stand.environment.state.resources)] == ["launch", "cart-launch"]
        resources = {**stand.environment.state.resources}
        async with room(document("Freeze", "f", OVER)) as other:
            resources |= other.environment.state.resources
        thaw_ms = stand.clock.now_ms() - 1_000 + 30_000
        assert may_grow(resources, "launch", "checkout", thaw_ms)
        assert not may_grow(resources, "cart-launch", "cart", thaw_ms + 59_000)
        assert may_grow(resources, "cart-launch", "cart", thaw_ms + 60_000)
        assert turn_ms(resources, "launch", "checkout", thaw_ms) == thaw_ms
        assert turn_ms(resources, "cart-launch", "cart", thaw_ms) == thaw_ms + 60_000
        assert turn_ms(resources, "cart-launch", "cart", thaw_ms - 1) == 0, "no freeze is over yet"


def test_what_a_freeze_does_otherwise_than_one_may_think() -> None:
    """Tags that nothing carries hold nothing; names that nobody has exempt nobody."""
    resources = small_rollouts.STATE.resources
    spec = FreezeSpec("FRI 16:00", "MON 08:00", "Asia/Seoul")
    assert surprises(resources, spec) == ()
    assert surprises(resources, replace(spec, exempt=("managers", "mia"))) == ()
    assert surprises(resources, replace(spec, tags=("web",), exempt=("zoe",))) == (
        'holds flags tagged "web", and there is none; check the tag',
        'exempts "zoe", which is no group of a policy and nobody who is known here; check the name',
    )
