"""What the published schema says of the kinds around flags."""

import pytest
from jsonschema import Draft202012Validator

from rollout_sdk.engine.model import Json
from rollout_server.domain.files import schema
from rollout_server.domain.files.json_schema_rollouts import definitions

SCHEMA = Draft202012Validator(schema())


def test_every_definition_is_in_the_schema() -> None:
    """Under its own name, each kind with its spec."""
    published = schema()["$defs"]
    assert isinstance(published, dict)
    assert definitions().keys() < published.keys()
    assert {"Metric", "Pipeline", "Rollout", "Freeze", "Channel", "Policy"} < published.keys()


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Metric", None),
        ("Metric", {"measures": "guesses"}),
        ("Pipeline", {"stages": [{"name": "a", "share": 25}]}),
        ("Pipeline", {"stages": [{"name": "a", "share": "1%", "soak": "1 hour"}]}),
        ("Pipeline", {"stages": [], "guardrails": [{"metric": "m", "limit": "20%"}]}),
        ("Rollout", {"flag": "a", "from": "off", "to": "on"}),
        ("Freeze", {"from": "FRI 16:00"}),
        ("Channel", None),
        ("Channel", {"webhook": "https://a", "command": ["b"]}),
        ("Policy", {"approvals": {"Token": {"from": "a"}}}),
    ],
)
def test_editors_see_the_same_mistakes(kind: str, spec: Json) -> None:
    """What the reader refuses for its shape, the schema refuses."""
    tree: dict[str, Json] = {"kind": kind, "metadata": {"key": "x"}, **({} if spec is None else {"spec": spec})}
    assert not SCHEMA.is_valid(tree)
