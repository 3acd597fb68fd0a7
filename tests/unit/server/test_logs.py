"""Logs are JSON lines in which nothing secret or personal can appear."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from rollout_server.logs import FIELDS, configure, get_logger, without_message

CANARY = "canary-4711"
SECRET = "rg_0a1b2c3d_" + "S" * 43


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("debug", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_object(out: io.StringIO) -> None:
    get_logger().info("call", method="/a/B", code="OK", duration_ms=3)
    (line,) = lines(out)
    assert {"event": "call", "method": "/a/B", "code": "OK", "duration_ms": 3, "level": "info"}.items() <= line.items()
    assert str(line["time"]).endswith("Z")


def test_a_field_that_is_not_listed_is_left_out_by_name(out: io.StringIO) -> None:
    """A list of what may be logged cannot forget what may not."""
    get_logger().info("call", unit_key=CANARY, attributes={"email": CANARY}, context=CANARY)
    assert CANARY not in out.getvalue()
    assert lines(out)[0]["withheld"] == ["attributes", "context", "unit_key"]


def test_what_the_pages_promise_is_told(out: io.StringIO) -> None:
    """docs/deploy.md sends people to the log for the reason why a rollout waits, a lease or an upstream is away."""
    get_logger().warning("a rollout waits", rollout="launch", why="it is frozen", hint="thaw it", store="redis://h")
    (line,) = lines(out)
    assert (line["rollout"], line["why"], line["store"]) == ("launch", "it is frozen", "redis://h")
    assert "withheld" not in line


def test_no_listed_field_is_made_for_people_or_secrets() -> None:
    assert not {"unit", "unit_key", "key", "attributes", "context", "token", "secret", "person", "message"} & FIELDS


def test_whatever_looks_like_a_secret_is_blanked(out: io.StringIO) -> None:
    """Even where a listed field or the event carries one by mistake."""
    get_logger().info(f"got {SECRET}", path=f"/x?{SECRET}", hint="Bearer abc.def", frames=[SECRET])
    assert "S" * 20 not in out.getvalue()
    assert "abc.def" not in out.getvalue()
    assert lines(out)[0]["event"] == "got rg_0a1b2c3d_[secret]"


def test_a_listed_field_takes_numbers_and_text_only(out: io.StringIO) -> None:
    get_logger().info("call", path={"email": CANARY})
    assert CANARY not in out.getvalue()


def test_an_exception_is_told_without_its_message(out: io.StringIO) -> None:
    """Messages quote what the caller sent."""
    try:
        int(CANARY)
    except ValueError as error:
        get_logger().error("bug", **without_message(error))
    (line,) = lines(out)
    assert CANARY not in out.getvalue()
    assert line["error_type"] == "builtins.ValueError"
    assert "test_logs.py" in str(line["frames"])


def test_libraries_go_through_the_same_door(out: io.StringIO) -> None:
    """Their constant text is kept, what they filled in is not."""
    logging.getLogger("lib").error("broke on %s", CANARY, exc_info=ValueError(CANARY))
    logging.getLogger("lib").error("broke on " + CANARY)  # noqa: G003 - what libraries do
    logging.getLogger("lib").info("chatter %s", CANARY)
    first, second = lines(out)
    assert CANARY not in out.getvalue()
    assert (first["event"], first["logger"], first["error_type"]) == ("broke on %s", "lib", "builtins.ValueError")
    assert second["logger"] == "lib"


def test_a_level_below_the_one_set_is_not_written(out: io.StringIO) -> None:
    configure("error", out)
    get_logger().warning("call")
    assert out.getvalue() == ""
