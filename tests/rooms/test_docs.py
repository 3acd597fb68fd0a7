"""The pages name what there is."""

import re
from pathlib import Path

import rollout_sdk
from rollout_sdk import Client, Context, Decision, Scope, Status, testing
from rollout_sdk.engine.model import Reason
from rollout_sdk.settings import ENVIRONMENT
from rollout_sdk.settings import Settings as ClientSettings
from rollout_sdk.testing import LocalClient, Process, Server
from rollout_server.domain.rights import Role
from rollout_server.settings import Settings

DOCS = Path(__file__).resolve().parents[2] / "docs"


def named(page: str) -> set[str]:
    """Everything in backticks on a page."""
    return set(re.findall(r"`([^`\n]+)`", (DOCS / page).read_text(encoding="utf-8")))


def test_every_setting_and_role_of_the_server_is_on_its_page() -> None:
    assert {*Settings.model_fields} | {role.value for role in Role} <= named("server.md")


def test_every_setting_and_reason_of_the_sdk_is_on_its_page() -> None:
    assert {*ENVIRONMENT} | {reason.value for reason in Reason} <= named("sdk.md")


def members(class_: type) -> set[str]:
    """What a class shows: methods and properties of its own, and fields."""
    fields = set(getattr(class_, "__dataclass_fields__", ()))
    return fields | {name for name in vars(class_) if not name.startswith("_")}


def test_everything_public_of_the_sdk_is_on_its_page() -> None:
    """Names of the package, and what its classes show; `engine` speaks with scopes and contexts by four more."""
    inner = {"key_hash", "key_hashes", "unit64", "unit64s", "is_about", "note", "from_env", "uses_tls"}
    classes = (Client, Scope, Context, Decision, Status, ClientSettings, LocalClient, Server, Process)
    public = {*rollout_sdk.__all__, *testing.__all__}.union(*map(members, classes)) - inner - {"__version__"}
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    missing = {name for name in public if not re.search(rf"(?<![\w.]){re.escape(name)}\b|\.{re.escape(name)}\b", page)}
    assert missing == set()


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*DOCS.glob("*.md"), *DOCS.glob("adr/*.md"), *DOCS.parent.glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
