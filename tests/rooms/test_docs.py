"""The pages name what there is."""

import re
from pathlib import Path

from rollout_sdk.engine.model import Reason
from rollout_sdk.settings import ENVIRONMENT
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


def test_every_link_between_pages_leads_somewhere() -> None:
    pages = [*DOCS.glob("*.md"), *DOCS.glob("adr/*.md"), *DOCS.parent.glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
