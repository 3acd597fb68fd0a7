"""A channel gets the secrets that the settings name, and no others."""

from __future__ import annotations

import pytest

from rollout_server.adapters.channel_secrets import ChannelSecrets
from rollout_server.errors import Refused

AROUND = {"PAGER_SECRET": "s3cret", "EMPTY": "", "CLOUD_KEY": "valuable"}


def test_a_variable_that_is_named_is_read() -> None:
    assert ChannelSecrets(["PAGER_SECRET"], AROUND).get("PAGER_SECRET") == "s3cret"


@pytest.mark.parametrize(
    ("name", "said", "hint"),
    [
        ("CLOUD_KEY", "may not use the variable CLOUD_KEY", "ROLLOUT_CHANNEL_SECRETS"),
        ("MISSING", "may not use", "channel_secrets"),
        ("ABSENT", "ABSENT is not set", "set it"),
        ("EMPTY", "EMPTY is not set", "set it"),
    ],
)
def test_others_are_refused_with_what_to_do(name: str, said: str, hint: str) -> None:
    """Whoever writes a channel cannot read the server's environment with it."""
    with pytest.raises(Refused, match=said) as caught:
        ChannelSecrets(["PAGER_SECRET", "ABSENT", "EMPTY"], AROUND).get(name)
    assert hint in caught.value.hint
    assert "valuable" not in str(caught.value)
