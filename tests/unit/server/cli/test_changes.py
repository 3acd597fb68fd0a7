"""Changes of resources, field by field."""

from __future__ import annotations

import json

import pytest

from rollout_sdk.wire.v1 import control_pb2 as pb
from rollout_server.cli import changes
from rollout_server.cli.screen import Format, Screen


def change(operation: pb.Operation.ValueType, *fields: pb.FieldChange) -> pb.ResourceChange:
    return pb.ResourceChange(kind="Flag", key="a", operation=operation, version_before=2, fields=fields)


def drawn(capsys: pytest.CaptureFixture[str], wanted: Format, *made: pb.ResourceChange) -> str:
    changes.draw(Screen(wanted, {"COLUMNS": "80"}), made)
    return capsys.readouterr().out


def test_a_new_resource_is_a_line_and_wide_shows_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    created = change(pb.OPERATION_CREATE, pb.FieldChange(path="spec.off", after_json='"none"'))
    assert drawn(capsys, Format.TABLE, created) == "+ flag/a  create  version 2\n"
    assert drawn(capsys, Format.WIDE, created).endswith('    spec.off  + "none"\n')


def test_long_values_and_many_fields_are_cut_unless_wide(capsys: pytest.CaptureFixture[str]) -> None:
    long = json.dumps("x" * 500)
    fields = [pb.FieldChange(path=f"spec.rules[{n}]", before_json="1", after_json=long) for n in range(20)]
    short = drawn(capsys, Format.TABLE, change(pb.OPERATION_UPDATE, *fields))
    assert "and 8 more fields: -o wide" in short
    assert max(map(len, short.splitlines())) < 100
    assert long in drawn(capsys, Format.WIDE, change(pb.OPERATION_UPDATE, *fields))


def test_what_stays_is_not_drawn_and_not_counted(capsys: pytest.CaptureFixture[str]) -> None:
    made = [change(pb.OPERATION_UNCHANGED), change(pb.OPERATION_DELETE), change(pb.OPERATION_CREATE)]
    assert drawn(capsys, Format.TABLE, made[0]) == ""
    assert changes.count(made) == "1 created, 1 deleted"
    assert changes.count(made[:1]) == ""
