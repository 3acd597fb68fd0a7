"""Files as a snapshot, for tests of those who use the SDK."""

from pathlib import Path

import pytest

from rollout_sdk import Client, Context
from rollout_server.app.snapshot_of_files import snapshot_of_files

EXAMPLES = Path(__file__).parents[4] / "examples" / "flags"


def given() -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(EXAMPLES.glob("*.yaml"))]


def test_it_decides_as_the_files_say() -> None:
    """A client without a server takes it."""
    client = Client.offline(snapshot_of_files([("", given())]))
    assert client.decide("checkout-v2", Context("u-1")).flag_version > 0
    assert client.status().quarantined == {}


def test_references_between_files_are_checked() -> None:
    """A flag without its cohort is told, with its line."""
    flags = b'kind: Flag\nmetadata: {key: a}\nspec: {rules: [{id: r, when: {cohort: gone}, serve: "on"}]}\n'
    with pytest.raises(ValueError, match=r"a\.yaml:3:.*gone"):
        snapshot_of_files([("", [("a.yaml", flags)])])


def test_no_documents_are_no_flags() -> None:
    """Comments alone are a file."""
    assert Client.offline(snapshot_of_files([("", [("a.yaml", b"# nothing\n")])])).decide_all(Context("u")) == {}
