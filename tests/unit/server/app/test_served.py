"""One environment as it is served."""

from __future__ import annotations

from rollout_sdk.wire.messages import Greeting
from rollout_server.app.served import Served
from tests.small_environment import flag, opened, put

LEAF = {"attribute": "country", "equals": "TH"}


async def test_processes_are_measured_against_the_ruleset_as_it_is_now() -> None:
    """What an SDK lacks follows the flags that are published, without anybody asking again."""
    async with opened() as environment:
        served = Served(environment, renew_epoch_every_ms=60_000, instances_max=10)
        await served.fan_out.start()
        served.instances.join(Greeting("i-1", "1.0", ("type:boolean",), "web", "h", 7), "t-1")
        (view,) = served.instances.views()
        assert view.missing_capabilities == ()
        await put(environment, flag("checkout", {"when": LEAF, "serve": "on"}))
        (view,) = served.instances.views()
        assert view.missing_capabilities == ("op:equals",)
        assert served.instances.certificate(environment.position.revision).straggling == ("web@h (pid 7)",)
