"""docs/channels.md says the truth: its channels can be written, its message is what is sent, its code verifies it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rollout_server.adapters.webhook import signature
from rollout_server.domain.files import load
from rollout_server.domain.notification import write_notification
from tests.small_notifications import message

PAGE = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


def test_the_channels_can_be_written() -> None:
    """All three transports."""
    loaded = load(BLOCKS["yaml"])
    assert loaded.problems == ()
    assert [one.resource.metadata.key for one in loaded.documents if one.resource] == ["pager", "team", "chat"]


def test_the_message_is_what_is_sent() -> None:
    """Every field of it, in order, and the sentence as the machine says it."""
    sent = message(units_exposed=1_204, link="https://look.example.com/{environment}/{rollout}")
    assert json.dumps(write_notification(sent), indent=2) == BLOCKS["json"].strip()


def test_the_code_verifies_a_signature() -> None:
    """And nothing else: not another body, id, time or secret."""
    room: dict[str, Any] = {}
    exec(compile(BLOCKS["python"], "docs/channels.md", "exec"), room)  # noqa: S102 - the page's own code
    now_s = int(room["time"].time())
    body, id_, at_s = b'{"id": "x"}', "production/launch/1/1@7", str(now_s)
    headers = {"Rollout-Id": id_, "Rollout-Timestamp": at_s, "Rollout-Signature": signature("s3cret", id_, at_s, body)}
    assert room["is_genuine"]("s3cret", headers, body)
    assert not room["is_genuine"]("s3cret", headers, body + b" ")
    assert not room["is_genuine"]("other", headers, body)
    assert not room["is_genuine"]("s3cret", {**headers, "Rollout-Id": "y"}, body)
    assert not room["is_genuine"]("s3cret", {**headers, "Rollout-Timestamp": str(now_s + 1)}, body)
    old = str(now_s - 3_600)
    stale = {**headers, "Rollout-Timestamp": old, "Rollout-Signature": signature("s3cret", id_, old, body)}
    assert not room["is_genuine"]("s3cret", stale, body)
