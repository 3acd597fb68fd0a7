"""What the SDK can refuse."""

from rollout_sdk.errors import Corrupt, InvalidSettings, RolloutError


def test_every_refusal_says_what_where_and_what_next() -> None:
    """One line is enough to act on."""
    settings = InvalidSettings("token", "it is empty", "copy the whole token")
    assert str(settings) == "token: it is empty; copy the whole token"
    assert (settings.setting, settings.hint, settings.code) == ("token", "copy the whole token", "invalid_settings")
    corrupt = Corrupt("rules.snapshot", "it is torn", "export it again")
    assert str(corrupt) == "rules.snapshot: it is torn; export it again"
    assert (corrupt.where, corrupt.code) == ("rules.snapshot", "corrupt")
    assert isinstance(settings, RolloutError)
    assert str(RolloutError("only this")) == "only this"
