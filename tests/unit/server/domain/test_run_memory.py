"""What is kept of a run between two entries comes back, and damage costs no more than itself."""

from __future__ import annotations

import json
from dataclasses import replace

from rollout_server.domain.guardrails.verdict import read_verdict, write_verdict
from rollout_server.domain.machine import Progress
from rollout_server.domain.run_memory import RunMemory, fresh, read_memory, write_memory
from rollout_server.domain.telemetry import RunCheckpoint, RunId
from tests.rollout_room import documents, guarded, room

RUN = RunId("launch", 1)


async def learned() -> RunMemory:
    """The memory of a run that was looked at."""
    async with room(*documents(pipeline={"guardrails": guarded()})) as stand:
        stand.connect()
        await stand.start()
        run = await stand.live(6, candidate=(100, 2), control=(400, 8))
        return await stand.runs.known(run)


async def test_a_memory_comes_back_whole() -> None:
    """Soak, evidence, verdicts: to the last digit."""
    memory = await learned()
    assert memory.verdicts
    kept = write_memory(RUN, 3, memory)
    assert kept.fence == 3
    assert read_memory(kept, Progress()) == memory


async def test_verdicts_come_back_whole() -> None:
    """They stand in the journal, too."""
    for _, verdict in (await learned()).verdicts:
        assert read_verdict(json.loads(json.dumps(write_verdict(verdict))), "here") == verdict


async def test_damage_costs_what_is_damaged() -> None:
    """One case that does not parse leaves the others; what was judged is never judged again."""
    memory = await learned()
    kept = write_memory(RUN, 1, memory)
    tree = json.loads(kept.body)
    tree["cases"]["errors"]["state"] = {"is": "nothing"}
    read = read_memory(replace(kept, body=json.dumps(tree).encode()), Progress())
    assert "errors" not in read.evidence.cases
    assert "process_lost" in read.evidence.cases
    assert (read.progress, read.evidence.ratio) == (memory.progress, memory.evidence.ratio)
    assert len(read.damage) == 1
    assert read.evidence.judged == memory.evidence.judged


def test_a_body_that_is_none_leaves_the_journal() -> None:
    """With the progress that stands there, and said."""
    progress = Progress(transition=4, soak_ms=9)
    for body in (b"", b"[]", b"{}", b"\xff", b'{"verdicts": [1], "cases": {"a": 1}}'):
        read = read_memory(RunCheckpoint(RUN, 1, {"errors": 7}, body), progress)
        assert read.progress == progress
        assert read.damage
        assert read.evidence.judged == {"errors": 7}
        assert replace(read, damage=(), evidence=fresh(RUN, progress).evidence) == fresh(RUN, progress)
