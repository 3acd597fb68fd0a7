"""Rollouts as plain data."""

from __future__ import annotations

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli.rollout_answers import ENDED, PHASES, phase, plain
from rollout_server.domain import machine
from tests.rollout_scenes import launch


def test_every_phase_of_the_machine_has_a_look() -> None:
    """And those that end it are the machine's."""
    assert set(PHASES) - {""} == {one.value for one in machine.Phase}
    assert {one.value for one in machine.ENDED} == ENDED


def test_a_kill_and_a_finish_come_first() -> None:
    """They are not phases, and matter more."""
    assert phase(launch("running", killed=True)).text == "✘ killed"
    assert phase(launch("completed", finished=True)).text == "✔ finished"
    assert phase(launch("new phase")).text == "new phase"


def test_every_field_is_there_and_null_where_it_has_no_value() -> None:
    """Enumerations as words, bytes as hex, parts as maps."""
    tree = plain(launch(end=pb.End(who="mia")))
    assert set(tree) == {field.name for field in pb.Rollout.DESCRIPTOR.fields}
    assert tree["end"]["who"] == "mia"  # type: ignore[index, call-overload] # a map, as the next line shows
    assert tree["need"] is None
    assert tree["stages"][1]["state"] == "here"  # type: ignore[index, call-overload] # a list of maps
    assert plain(pb.Entry(digest=b"\x01\xff"))["digest"] == "01ff"
