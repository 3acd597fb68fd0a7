"""A population as JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollout_server.cli.failures import CommandFailed
from rollout_server.cli.population import BATCH_COUNT, LINE_BYTES_MAX, Population


def written(tmp_path: Path, *lines: str) -> Population:
    path = tmp_path / "users.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    return Population(str(path))


def context(number: int) -> str:
    return json.dumps({"units": {"user": f"u-{number}"}})


def test_batches_are_bounded_and_in_order(tmp_path: Path) -> None:
    population = written(tmp_path, *(context(number) for number in range(BATCH_COUNT + 3)))
    seen: list[int] = []
    batches = list(population.batches(seen.append))
    assert [len(batch) for batch in batches] == [BATCH_COUNT, 3]
    assert seen == [BATCH_COUNT, BATCH_COUNT + 3]
    assert batches[0][0] == context(0)
    assert population.failure is None


def test_blank_lines_are_passed_over_and_places_still_hold(tmp_path: Path) -> None:
    population = written(tmp_path, context(1), "", "  ", context(2), "")
    list(population.batches(lambda _: None))
    assert population.count == 2
    assert population.place(2).endswith("users.jsonl:4")
    assert population.place(9).endswith("users.jsonl")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "nested too deep"),
        ('{"attributes": {"n": ' + "9" * 5_000 + "}}", "a number in the line is too long"),
        ("\udcff", "not UTF-8"),
        ('"text"', "has units and attributes"),
        ('{"user": "u-1"}', "has units and attributes"),
        ('{"units": []}', "units map"),
        ('{"units": {"user": 1}}', "units map"),
        ('{"attributes": []}', "attributes are a map"),
        (f'{{"attributes": {{"x": "{"y" * LINE_BYTES_MAX}"}}}}', "longer than 256 KiB"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str, message: str) -> None:
    population = written(tmp_path, context(1), "", line, context(2))
    assert list(population.batches(lambda _: None)) == []
    assert population.failure is not None
    assert "users.jsonl:3: " in population.failure.what
    assert message in population.failure.what
    assert "sys." not in population.failure.what
    assert '{"units"' in population.failure.hint


def test_no_file_is_usage() -> None:
    with pytest.raises(CommandFailed, match="is no file"):
        Population("/nonexistent.jsonl")
