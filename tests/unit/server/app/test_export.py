"""Export: the ruleset as a file."""

from __future__ import annotations

from rollout_sdk.engine.compile import compile_ruleset
from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import Cohort, Flag, FlagState, Origin, Ruleset
from rollout_sdk.wire.codec import decode_record
from rollout_sdk.wire.key_sets import read_chunk
from rollout_sdk.wire.snapshot import unpack
from rollout_server.app.export import export
from rollout_server.app.fan_out import FanOut
from rollout_server.app.kill import Kill, kill
from rollout_server.app.tokens import CreateToken, create_token
from tests.small_environment import MIA, cohort, document, flag, opened, put


async def test_the_file_decides_as_the_environment_does() -> None:
    """Whoever reads it gets the decisions of this revision, kill included."""
    async with opened() as environment:
        await put(
            environment,
            flag("a", {"when": {"cohort": "beta"}, "serve": "on"}),
            flag("dead", default="on"),
            cohort("beta", "u-1", exclude=["u-2"]),
        )
        await kill(environment, Kill("dead"), MIA)
        snapshot = unpack(await export(environment))
        chunks = {digest: read_chunk(digest, data) for digest, data in snapshot.chunks}
        read = [decode_record(record, chunks) for record in snapshot.records]
        ruleset = Ruleset(
            snapshot.position,
            {one.key: one for one in read if isinstance(one, Flag)},
            {one.key: one for one in read if isinstance(one, Cohort)},
            {one.flag: one for one in read if isinstance(one, FlagState)},
        )
        decider = compile_ruleset(ruleset).bind(Origin())
        assert decider.decide("a", Context("u-1")).variant == "on"
        assert decider.decide("a", Context("u-2")).variant == "off"
        assert decider.decide("dead", Context("u-1")).variant == "off"
        assert (snapshot.environment, snapshot.position) == ("production", environment.position)


async def test_the_file_is_what_streams_send() -> None:
    """Its digest is the one that connected SDKs compare with."""
    async with opened() as environment:
        await put(environment, flag("a"), flag("b"), cohort("beta", "u-1"))
        await kill(environment, Kill("b"), MIA)
        moved = {"flag": "a", "from": "off", "to": "on", "pipeline": "p"}
        await put(environment, document("Rollout", "a", moved), document("Metric", "b", {"measures": "mean"}))
        await put(environment, flag("a", unit="tenant"))
        assert unpack(await export(environment)).ruleset_digest == FanOut(environment).ruleset_digest


async def test_the_file_holds_nothing_that_an_sdk_does_not_need() -> None:
    """No owners, descriptions or tags, no raw keys of cohorts, no tokens."""
    async with opened() as environment:
        owned = document("Flag", "a", {}, owner="payments-owner", description="secret-plan", tags=["tag-x"])
        await put(environment, owned, cohort("beta", "raw-key-of-somebody"))
        await create_token(environment, CreateToken("sdk", "shop-person"), MIA)
        data = await export(environment)
        for word in (b"payments-owner", b"secret-plan", b"tag-x", b"raw-key-of-somebody", b"shop-person"):
            assert word not in data
