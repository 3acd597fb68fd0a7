"""Channels and policies by themselves, and what policies demand of what is written."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from rollout_sdk.engine.findings import child, show
from rollout_sdk.engine.regex import compile_regex, regex_fault
from rollout_server.domain.changes import voice
from rollout_server.domain.resources import Kind
from rollout_server.domain.rollouts import Transport
from rollout_server.domain.validation.world import check_approval

if TYPE_CHECKING:
    from rollout_sdk.engine.findings import Findings
    from rollout_server.domain.resources import Resource
    from rollout_server.domain.rollouts import ChannelSpec
    from rollout_server.domain.validation.world import World

SECRET = "{secret}"  # noqa: S105 - the place of one
"""Stands for the channel's secret in the URL of an apprise service, which has its key in there."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_URL = re.compile(r"[!-~]+")
_SERVICE = re.compile(r"[a-z][a-z0-9+.-]*://[!-~]+")
_LOCAL = "localhost"


def check_channel(findings: Findings, spec: ChannelSpec) -> None:
    """Note everything that is wrong with a channel."""
    match spec.transport:
        case Transport.WEBHOOK:
            if fault := _url_fault(spec.target):
                findings.add("spec.webhook", "bad_url", *fault)
        case Transport.APPRISE:
            if not _SERVICE.fullmatch(spec.target):
                message = f"{show(spec.target)} is no URL of a service"
                findings.add("spec.apprise", "bad_url", message, "write it like slack://{secret}/#releases")
            elif bool(spec.secret_env) is not (SECRET in spec.target):
                message = f"a secret and its place {SECRET} in the URL belong together"
                hint = "write both or neither: whoever may look at this channel sees the URL"
                findings.add("spec.apprise", "bad_secret", message, hint)
        case Transport.COMMAND:
            for at, word in enumerate((spec.target, *spec.arguments)):
                if not word or "\0" in word:
                    findings.add(f"spec.command[{at}]", "bad_command", "this is no word of a command", "take it out")
            if spec.secret_env:
                message = "nothing is signed for a command, which runs beside the server"
                findings.add("spec.secret", "bad_secret", message, "let the command read its own environment")
    if spec.secret_env and not _VARIABLE.fullmatch(spec.secret_env):
        message = f"{show(spec.secret_env)} is no name of an environment variable"
        findings.add("spec.secret.env", "bad_secret", message, "use letters, digits and _; the secret itself stays out")


def _url_fault(url: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        return f"{show(url)} is no URL: {error}", "write it like https://hooks.example.com/releases"
    if not _URL.fullmatch(url) or not host:
        return f"{show(url)} is no URL of a host", "write it like https://hooks.example.com/releases"
    if parts.scheme not in {"https", "http"}:
        return f"{show(parts.scheme)} is no scheme of a webhook", "use https"
    if parts.scheme == "http" and not _is_loopback(host):
        return "notifications would cross the network in the clear", "use https; http is for this machine only"
    if parts.username is not None or parts.password is not None:
        return "whoever may look at this channel would see the password in its URL", "use secret: {env: NAME}"
    if parts.fragment:
        return "what stands behind # is never sent", "take it out"
    return None


def _is_loopback(host: str) -> bool:
    if host == _LOCAL:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_policy(findings: Findings, world: World, key: str) -> None:
    """Note everything that is wrong with a policy itself."""
    spec = world.policies[key]
    for name, people in spec.groups:
        path = child("spec.groups", name)
        if not people:
            findings.add(path, "empty_group", "nobody is in this group, so it could never agree", "name its people")
        elif not all(person.strip() for person in people):
            findings.add(path, "empty_person", "a name of blanks is nobody's", "name a person, or take it out")
        voices = [voice(person) for person in people]
        twice = next((person for at, person in enumerate(people) if voices[at] in voices[:at]), None)
        if twice is not None:
            message = f"{show(twice)} is in it twice, and has one voice"
            findings.add(path, "duplicate_person", message, "keep one of them")
        other = next(
            (one for one in sorted(world.policies) if one != key and name in dict(world.policies[one].groups)), None
        )
        if other is not None:
            message = f"policy/{other} says who is in {show(name)} too"
            findings.add(path, "duplicate_group", message, "say it in one place")
    for kind, approval in spec.approvals:
        check_approval(findings, world, approval, child("spec.approvals", kind))
    for kind, pattern in spec.names:
        fault = regex_fault(pattern)
        if fault:
            message = f"{show(pattern)} is no expression in RE2 syntax: {fault}"
            findings.add(child("spec.names", kind), "bad_regex", message, "mend it; it has to match a key as a whole")


def check_demands(findings: Findings, world: World, resource: Resource, *, is_new: bool) -> None:
    """Note what policies demand of a resource that is being written, and it lacks.

    Names are demanded of what is created: a key cannot be changed later. `expires` is demanded of flags alone, the only
    kind that is meant to go away again.
    """
    metadata = resource.metadata
    kind = resource.kind.value
    for key in sorted(world.policies):
        spec = world.policies[key]
        for wanted in spec.require:
            is_there = bool(getattr(metadata, wanted, ""))
            if is_there or (wanted == "expires" and resource.kind is not Kind.FLAG):
                continue
            message = f"policy/{key} demands {wanted} of every {'flag' if wanted == 'expires' else 'resource'}"
            findings.add(f"metadata.{wanted}", "policy_require", message, f"write {wanted} under metadata")
        pattern = dict(spec.names).get(kind, "")
        if is_new and pattern and not regex_fault(pattern) and not compile_regex(rf"\A(?:{pattern})\z")(metadata.key):
            message = f"policy/{key} wants keys of this kind to match {pattern}"
            findings.add("metadata.key", "policy_name", message, "choose another key")
