"""The machine a command runs on."""

from rollout_server.cli.world import World


def test_the_real_world_has_clocks_and_keys() -> None:
    world = World()
    assert world.now_ms() > 1_700_000_000_000
    assert world.monotonic_ms() <= world.monotonic_ms()
    assert world.fresh_key() != world.fresh_key()
    assert len(world.fresh_key()) == 32


def test_a_test_has_nobody_to_ask() -> None:
    assert World().is_interactive() is False


def test_waiting_for_no_time_returns() -> None:
    World().pause(0)
