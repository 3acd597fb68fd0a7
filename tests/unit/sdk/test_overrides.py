"""The emergency file."""

import logging
import os
from pathlib import Path

import pytest

from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Flag, Json, Origin, Reason, ValueType, Variant
from rollout_sdk.overrides import NotReady, Overridden, OverridesFile, parse
from tests.small_rules import boolean

USER = Context("u")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": "off", "b": true}', {"a": "off", "b": True}),
        ("a: off\n\n# why: incident 7\nb = on # for now\n'c': \"x\"", {"a": "off", "b": "on", "c": "x"}),
        ("a: true\nb=false", {"a": True, "b": False}),
        ("", {}),
        ("{}", {}),
    ],
)
def test_both_forms_are_read(text: str, found: dict[str, object]) -> None:
    """JSON, or a line a flag: whatever comes to mind at 3 a.m."""
    assert dict(parse(text)) == found


@pytest.mark.parametrize("text", ["{", '{"a": 1}', '{"a": null}', "a", "a:", ": off", "[" * 9, '{"a":' + "[" * 100_000])
def test_what_is_neither_form_is_refused(text: str) -> None:
    """A typing error must not be an override of something else."""
    with pytest.raises(ValueError, match=r".+"):
        parse(text)


def test_a_file_is_followed_and_a_bad_one_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Last good stays, warned of once; gone means lifted."""
    path = tmp_path / "overrides"
    file = OverridesFile(str(path))
    assert not file.refresh()
    path.write_text("a: off")
    assert file.refresh()
    assert not file.refresh()
    with caplog.at_level(logging.WARNING, "rollout_sdk"):
        path.write_text("what?")
        assert not file.refresh()
        path.write_text("what??")
        assert not file.refresh()
        assert sum("is ignored" in message for message in caplog.messages) == 1
    assert dict(file.current) == {"a": "off"}
    path.write_text("a: on")
    assert file.refresh()
    path.unlink()
    assert file.refresh()
    assert dict(file.current) == {}


def test_trouble_with_the_machine_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an emergency there may be no descriptor left: the file acts once there is one, without being touched."""
    path = tmp_path / "overrides"
    path.write_text("a: off")
    file = OverridesFile(str(path))
    with monkeypatch.context() as trouble:
        trouble.setattr(os, "open", _no_descriptor)
        assert not file.refresh()
    assert file.refresh()
    assert dict(file.current) == {"a": "off"}


def _no_descriptor(*_: object) -> int:
    raise OSError(24, "Too many open files")


def test_neither_a_directory_nor_bytes_break_it(tmp_path: Path) -> None:
    """Whatever lies at the path, the answer is a warning."""
    file = OverridesFile(str(tmp_path))
    assert not file.refresh()
    path = tmp_path / "bytes"
    path.write_bytes(b"\xff\xfe")
    assert not OverridesFile(str(path)).refresh()
    path.write_bytes(b"\xef\xbb\xbfa: off")
    assert OverridesFile(str(path)).refresh()


def overridden(flags: dict[str, Flag], **overrides: str | bool) -> Overridden:
    return Overridden(NotReady(), flags, overrides)


def test_a_forced_variant_is_served_with_its_reason() -> None:
    """By key, or by value for booleans; unknown variants force nothing."""
    flags = {"a": boolean("a")}
    for wanted in ("off", False):
        decision = overridden(flags, a=wanted).decide("a", USER, True)
        assert (decision.value, decision.variant, decision.reason) == (False, "off", Reason.OVERRIDE)
    assert overridden(flags, a="gone").decide("a", USER, True).reason is Reason.NOT_READY


def test_an_emergency_does_not_wait_for_rules() -> None:
    """Without any rules "on" and "off" are what they are for most flags."""
    assert overridden({}, a="off").decide("a", USER, True, ValueType.BOOLEAN).value is False
    assert overridden({}, a=True).decide("a", USER).value is True
    assert overridden({}, a="blue").decide("a", USER, "x").reason is Reason.NOT_READY


def test_the_type_asked_for_is_kept() -> None:
    """As without an override: whole numbers widen, anything else is the caller's default."""
    flag = Flag("n", ValueType.INTEGER, (Variant("few", 3),), "few", "few", "0" * 16)
    decider = overridden({"n": flag}, n="few")
    assert repr(decider.decide("n", USER, 0.5, ValueType.FLOAT).value) == "3.0"
    wrong = decider.decide("n", USER, "x", ValueType.STRING)
    assert (wrong.value, wrong.variant, wrong.reason) == ("x", None, Reason.WRONG_TYPE)


def test_a_number_is_forced_as_the_rules_would_serve_it() -> None:
    """A float flag serves floats, though JSON wrote 3; no integer is served as a float that is another number."""
    rate = Flag("rate", ValueType.FLOAT, (Variant("low", 3),), "low", "low", "0" * 16)
    assert repr(overridden({"rate": rate}, rate="low").decide("rate", USER, 0.5, ValueType.FLOAT).value) == "3.0"
    size = Flag("size", ValueType.INTEGER, (Variant("huge", 2**53 + 1),), "huge", "huge", "0" * 16)
    decision = overridden({"size": size}, size="huge").decide("size", USER, 0.5, ValueType.FLOAT)
    assert (decision.value, decision.reason) == (0.5, Reason.WRONG_TYPE)


class _Named(str):
    """Text that says another hash than its text has."""

    __slots__ = ()

    def __hash__(self) -> int:
        return 7

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)


def test_an_override_holds_for_whatever_the_engine_takes_for_its_flag() -> None:
    """A subclass of str with a hash of its own names a flag to the engine, so it does here."""
    assert overridden({}, a="off").decide(_Named("a"), USER, True).reason is Reason.OVERRIDE
    assert overridden({}, a="off").decide(_Named("b"), USER, True).reason is Reason.NOT_READY


def test_a_json_value_is_the_callers_own() -> None:
    """Nobody can change it for the others."""
    value: Json = {"list": [1]}
    flag = Flag("j", ValueType.JSON, (Variant("big", value),), "big", "big", "0" * 16)
    decider = overridden({"j": flag}, j="big")
    served = decider.decide("j", USER).value
    assert served == value
    assert isinstance(served, dict)
    served["list"] = None
    assert decider.decide("j", USER).value == value


@pytest.mark.parametrize("key", [None, [], {}, 7, "\ud800", object()])
def test_any_key_is_answered(key: str) -> None:
    """Total, like the engine."""
    for decider in (NotReady(), overridden({}, a="off")):
        decision = decider.decide(key, USER, "x")
        assert (decision.value, decision.reason) == ("x", Reason.NOT_READY)


def test_decide_all_holds_the_forced_too() -> None:
    """Before there are rules, the forced alone."""
    assert NotReady().decide_all(USER) == {}
    assert overridden({}, a="off").decide_all(USER)["a"].value is False
    assert NotReady().origin == Origin()


def test_an_override_that_forces_nothing_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Who writes `Off` at 3 a.m. is told that nothing is off, and what there is to write."""
    path = tmp_path / "overrides"
    path.write_text("a: Off\nb: off\n")
    file = OverridesFile(str(path))
    assert file.refresh()
    flags = {"a": boolean("a")}
    with caplog.at_level("WARNING", "rollout_sdk"):
        caplog.clear()
        file.warn_of_typing_errors(flags)
        file.warn_of_typing_errors(flags)
    wrong = "'b' is no flag here; 'Off' is no variant of 'a', which has on, off"
    assert caplog.messages == [f"the overrides file {path} forces less than it says: {wrong}"]
    assert Overridden(NotReady(), flags, file.current).forced == ("b",)
