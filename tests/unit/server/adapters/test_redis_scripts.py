"""The scripts are all there, and Redis takes them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rollout_server.adapters import redis_scripts
from rollout_server.adapters.redis_scripts import Script
from tests.real_redis import SharedRedis

SCRIPTS = [each for each in vars(redis_scripts).values() if isinstance(each, Script)]


def test_every_file_is_a_script_and_every_script_has_its_file() -> None:
    """Nothing lies there unused."""
    home = Path(redis_scripts.__file__).with_name("redis_lua")
    preludes = {"prelude", "telemetry_prelude"}
    assert sorted(each.name for each in SCRIPTS) == sorted({path.stem for path in home.glob("*.lua")} - preludes)


async def test_redis_takes_them_under_the_name_that_they_are_called_by(redis: SharedRedis) -> None:
    """A script that does not compile, or another hash, is found here and not at the first commit."""
    client = redis.server.client()
    for script in SCRIPTS:
        loaded = await client.script_load(script.text)
        assert str(loaded) in {script.sha, str(script.sha.encode())}
    await client.aclose()
    await asyncio.sleep(0)
