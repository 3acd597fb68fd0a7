"""Events are what they say, and carry one moment."""

from __future__ import annotations

from dataclasses import fields

from rollout_server.domain.machine.events import EVENTS, Finish, Kill, Pause, Promote, Rollback, Start, Tick, moment_ms


def test_every_event_has_a_moment() -> None:
    """Whoever writes an event down finds its wall clock in one way."""
    assert moment_ms(Tick(5, 1)) == 5
    assert moment_ms(Kill("ann", 7)) == 7
    assert len(set(EVENTS)) == len(EVENTS)


def test_what_only_makes_safer_names_no_stage() -> None:
    """A pause, a rollback or a kill is right wherever the run is by now."""
    named = {kind for kind in EVENTS if "expects" in {field.name for field in fields(kind)}}
    assert not named & {Pause, Rollback, Kill}
    assert {Promote, Finish} <= named


def test_what_grows_says_whether_it_is_frozen() -> None:
    """Each event that may expose more units says so for its author."""
    frozen = {kind for kind in EVENTS if "is_frozen" in {field.name for field in fields(kind)}}
    assert frozen == {Tick, Start, Promote, Finish}
