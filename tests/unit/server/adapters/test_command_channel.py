"""Commands as real processes: fed, bounded in time, killed with all they started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest

from rollout_server.adapters.command_channel import SAID_BYTES_MAX, CommandChannel
from rollout_server.domain.notification import write_notification
from rollout_server.domain.rollouts import ChannelSpec, Transport
from rollout_server.errors import Refused, Unavailable
from tests.small_notifications import message

MESSAGE = message(units_exposed=7)
FOREVER = "sleep 1000"


def script(text: str, *arguments: str, **options: Any) -> CommandChannel:
    """A channel that runs a line of shell."""
    spec = ChannelSpec(Transport.COMMAND, "/bin/sh", ("-c", text, "sh", *arguments))
    return CommandChannel(spec, allowed=["/bin/sh"], **options)


async def test_it_gets_the_message_on_its_input(tmp_path: Path) -> None:
    """Whole, as JSON, and its arguments as they were written: no shell ever reads them."""
    got = tmp_path / "got"
    await script('cat > "$1"; printf %s "$2" > "$1.argument"', str(got), "$(id); `id` 'x").deliver(MESSAGE)
    assert json.loads(got.read_bytes()) == write_notification(MESSAGE)
    assert (tmp_path / "got.argument").read_text(encoding="utf-8") == "$(id); `id` 'x"


async def test_who_never_reads_its_input_is_not_waited_for() -> None:
    await script("exit 0").deliver(MESSAGE)


async def test_a_failure_says_what_the_program_said() -> None:
    """As one line, without what a terminal would obey."""
    with pytest.raises(Unavailable, match=r"exit code 7: no room today. now") as caught:
        await script(r'printf "no room\n today\033 now" >&2; exit 7').deliver(MESSAGE)
    assert "\x1b" not in str(caught.value)
    with pytest.raises(Unavailable, match="signal 9"):
        await script("kill -9 $$").deliver(MESSAGE)


async def test_what_it_says_is_bounded() -> None:
    """A talkative program neither blocks nor fills the server."""
    program = "import sys; sys.stderr.write('x' * 3_000_000); sys.exit(1)"
    noisy = CommandChannel(ChannelSpec(Transport.COMMAND, sys.executable, ("-c", program)), allowed=[sys.executable])
    with pytest.raises(Unavailable) as caught:
        await noisy.deliver(MESSAGE)
    assert str(caught.value).count("x") <= SAID_BYTES_MAX + 20


async def test_a_program_that_hangs_is_killed() -> None:
    """Also where it ignores every other signal."""
    before = psutil.Process().children()  # a server that other tests share may be among them
    with pytest.raises(Unavailable, match=r"did not end in 0\.1 s and was killed"):
        await script(f'trap "" TERM INT HUP; {FOREVER}; {FOREVER}', timeout_s=0.1).deliver(MESSAGE)
    assert psutil.Process().children() == before


async def test_what_a_program_leaves_running_ends_with_it(tmp_path: Path) -> None:
    """And does not hold the delivery up, though it holds stderr open."""
    pids = tmp_path / "pids"
    await script(f'{FOREVER} & echo $! >> "$1"', str(pids)).deliver(MESSAGE)
    await gone(pids)


async def test_who_leaves_the_group_holds_nobody_up(tmp_path: Path) -> None:
    """It keeps stderr open, and the delivery ends all the same."""
    pid = tmp_path / "pid"
    leave = f'setsid sh -c \'echo $$ > "$1"; exec {FOREVER}\' sh "$1" & until [ -s "$1" ]; do :; done'
    await script(leave, str(pid)).deliver(MESSAGE)
    (left,) = noted(pid)
    os.kill(left, 9)


async def test_a_server_that_stops_leaves_no_program_behind(tmp_path: Path) -> None:
    """Cancelled is killed, with the children of its children."""
    fifo, pids = tmp_path / "fifo", tmp_path / "pids"
    os.mkfifo(fifo)
    tree = f'echo $$ >> "$2"; ({FOREVER} & echo $! >> "$2"; echo here > "$1"; {FOREVER}) & echo $! >> "$2"; wait'
    delivering = asyncio.create_task(script(tree, str(fifo), str(pids)).deliver(MESSAGE))
    await asyncio.to_thread(fifo.read_text, "ascii")
    delivering.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await delivering
    assert delivering.cancelled()
    assert len(noted(pids)) >= 2
    await gone(pids)


def noted(pids: Path) -> list[int]:
    return [int(line) for line in pids.read_text(encoding="ascii").split()]


async def gone(pids: Path) -> None:
    """Return when none of these processes is there; zombies of others' children count as gone."""
    await asyncio.to_thread(_wait_gone, noted(pids))


def _wait_gone(pids: list[int]) -> None:
    assert pids
    while any(is_alive(pid) for pid in pids):
        os.sched_yield()


def is_alive(pid: int) -> bool:
    """Whether it is a program of ours: on a busy machine its number soon names a thread or process of somebody else."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.name() in {"sh", "sleep"}
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("program", ["/bin/sh", "sh", "/usr/bin/../bin/sh", ""])
async def test_what_no_setting_names_is_not_run(program: str) -> None:
    """Whoever may write a channel would otherwise run anything here."""
    channel = CommandChannel(ChannelSpec(Transport.COMMAND, program, ("-c", "exit 0")), allowed=["/usr/local/bin/tell"])
    with pytest.raises(Refused, match="may not run") as caught:
        await channel.deliver(MESSAGE)
    assert "ROLLOUT_CHANNEL_COMMANDS" in caught.value.hint


async def test_what_cannot_be_run_is_refused(tmp_path: Path) -> None:
    """Missing, no program, and a word that no program can be given."""
    text = tmp_path / "text"
    text.write_text("no program", encoding="ascii")
    for program, said in ((str(tmp_path / "missing"), "No such file"), (str(text), "Permission denied")):
        with pytest.raises(Refused, match=said):
            await CommandChannel(ChannelSpec(Transport.COMMAND, program), allowed=[program]).deliver(MESSAGE)
    with pytest.raises(Unavailable, match="null"):
        await script("exit 0", "\0").deliver(MESSAGE)


async def test_a_full_disk_is_worth_waiting_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(Unavailable, match="No space left"):
        await script("exit 0").deliver(MESSAGE)


async def test_nothing_is_left_open() -> None:
    """No file, no child, however it ended."""
    process = psutil.Process()
    with contextlib.suppress(Unavailable):
        await script("exit 0").deliver(MESSAGE)  # whatever asyncio opens once is open now
    before, children = process.num_fds(), process.children()
    for line in ("exit 0", "exit 1", f"{FOREVER} & exit 0"):
        with contextlib.suppress(Unavailable):
            await script(line).deliver(MESSAGE)
    with contextlib.suppress(Unavailable):
        await script(FOREVER, timeout_s=0.05).deliver(MESSAGE)
    assert process.num_fds() == before
    assert process.children() == children
