"""History: who changed what, newest first."""

from __future__ import annotations

from rollout_server.app.apply import Apply, apply
from rollout_server.app.environment import Environment
from rollout_server.app.fleet import NoFleet
from rollout_server.app.history import LIMIT_MAX, LOOKUPS_MAX, History, ToldEntry, history, tell
from rollout_server.app.kill import Kill, kill
from rollout_server.app.tokens import CreateToken, RevokeToken, create_token, revoke_token
from rollout_server.domain.diff import Operation
from tests.doubles.fake_clock import START_MS, FakeClock
from tests.doubles.memory_journal import MemoryJournal
from tests.small_environment import MIA, cohort, delete, flag, flag_id, opened, put

QUARTER = {"split": {"on": "25%", "off": "75%"}}


async def test_every_change_is_told_field_by_field() -> None:
    """Each entry says what it changed, from what to what, also where entries between are left out."""
    async with opened() as environment:
        await apply(environment, Apply((flag("a"), cohort("beta", "u-1"))), MIA, NoFleet())
        await apply(environment, Apply((cohort("beta", "u-2"),)), MIA, NoFleet())
        await kill(environment, Kill("a"), MIA)
        await apply(environment, Apply((flag("a", QUARTER),)), MIA, NoFleet())
        page = await history(environment, History())
        assert [told.entry.revision for told in page.entries] == [4, 3, 2, 1]
        of_flag = await history(environment, History(flag_id("a")))
        assert [told.entry.action for told in of_flag.entries] == ["apply", "kill", "apply"]
        edit, killing, creation = of_flag.entries
        assert killing.changes[0].fields[0].path == "status.killed"
        assert (killing.changes[0].fields[0].before_json, killing.changes[0].fields[0].after_json) == ("false", "true")
        assert edit.changes[0].fields[0].path.startswith("spec.rules")
        assert (edit.changes[0].version_before, edit.changes[0].version_after) == (3, 4)
        assert creation.changes[0].operation is Operation.CREATE


async def test_a_page_in_the_middle_tells_the_same() -> None:
    """What an entry changed does not depend on which page it is read on."""
    async with opened() as environment:
        for number in range(12):
            await put(environment, flag(f"f{number % 3}", default="on" if number % 2 else "off"))
        whole = (await history(environment, History())).entries
        pages: list[ToldEntry] = []
        before = 0
        while page := (await history(environment, History(before=before, limit=5))).entries:
            pages.extend(page)
            before = page[-1].entry.revision
            if before == 1:
                break
        assert tuple(pages) == whole
        assert (await tell(environment, [whole[4].entry]))[0] == whole[4]


async def test_the_first_entry_that_is_kept_knows_what_was_before() -> None:
    """After compaction, changes are told against the checkpoint, and its revision is named."""
    clock = FakeClock()
    journal = MemoryJournal(clock=clock)
    async with opened(journal, clock) as environment:
        await put(environment, flag("a"), flag("b"))
        clock.advance(1_000)
        await put(environment, flag("a", QUARTER))
        await journal.compact(START_MS + 1)
        page = await history(environment, History())
        assert page.oldest_revision == 1
        (only,) = page.entries
        assert (only.changes[0].operation, only.changes[0].version_before) == (Operation.UPDATE, 1)


async def test_tokens_are_told_without_their_hash() -> None:
    """Who got in and who was locked out is history; what opens the door is not, not even as a hash."""
    async with opened() as environment:
        made = await create_token(environment, CreateToken("sdk", "shop"), MIA)
        await revoke_token(environment, RevokeToken(made.token.id), MIA)
        page = await history(environment, History())
        fields = [field for told in page.entries for change in told.changes for field in change.fields]
        assert fields
        assert not any("hash" in field.path for field in fields)


async def test_pages_are_bounded() -> None:
    """However much is asked for, a page holds so much at most."""
    async with opened() as environment:
        for _ in range(3):
            await put(environment, flag("a"))
        assert len((await history(environment, History(limit=2))).entries) == 2
        assert len((await history(environment, History(limit=10**9))).entries) <= LIMIT_MAX
        assert (await history(environment, History(before=1))).entries == ()


async def test_what_memory_does_not_remember_is_looked_up() -> None:
    """A server that was just started tells the same history, after small entries and after large ones."""
    journal = MemoryJournal()
    async with opened(journal) as environment:
        await put(environment, *[flag(f"f{number}") for number in range(LOOKUPS_MAX + 8)], flag("small"))
        await put(environment, flag("new"), flag("small", default="on"))
        await put(environment, flag("small"), flag("f1", default="on"))
        await put(environment, *[flag(f"f{number}", QUARTER) for number in range(LOOKUPS_MAX + 1)])
        await delete(environment, flag_id("f2"))
        await kill(environment, Kill("f3"), MIA)
        remembered = await history(environment, History())
        fresh = Environment(journal, FakeClock())
        await fresh.start()
        assert fresh.before(6) is None
        assert await history(fresh, History()) == remembered
        for question in (History(flag_id("small")), History(before=5, limit=1), History(before=3)):
            assert await history(fresh, question) == await history(environment, question)
        await fresh.close()


async def test_history_of_what_is_large_is_told_without_remembering_it() -> None:
    """Recent entries are remembered by weight: edits of a large cohort all day take no more than of a small one."""
    async with opened() as environment:
        crowd = [f"user-{number}" for number in range(120_000)]
        for number in range(4):
            await put(
                environment, cohort("crowd", *crowd, f"late-{number}"), flag("a", default="on" if number % 2 else "off")
            )
        assert [revision for revision in range(1, 5) if environment.before(revision) is not None] == [4]
        newest, *_, oldest = (await history(environment, History())).entries
        assert {change.id.kind.value for change in newest.changes} == {"Cohort", "Flag"}
        assert [field.after_json for field in newest.changes[1].fields if field.path == "spec.default"] == ['"on"']
        assert {change.operation for change in oldest.changes} == {Operation.CREATE}
