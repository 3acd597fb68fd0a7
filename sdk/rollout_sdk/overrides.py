"""The emergency file: flags forced to a variant by whoever can write to this machine, server or no server.

Two forms. JSON: {"checkout-v2": "off"}. Or a line a flag: `checkout-v2: off` or `checkout-v2 = off`, with comments
behind `#`.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from rollout_sdk.engine.model import Decision, Origin, Reason, ValueType, Variant
from rollout_sdk.engine.values import as_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rollout_sdk.engine.asking import Decides
    from rollout_sdk.engine.context import Context
    from rollout_sdk.engine.model import Flag, Json

BYTES_MAX: Final = 1 << 20

Wanted: TypeAlias = "str | bool"
"""The key of a variant; true and false stand for the variant with that value."""

Overrides: TypeAlias = "Mapping[str, Wanted]"
"""By flag."""

NONE: Overrides = MappingProxyType({})

_log = logging.getLogger("rollout_sdk")


class NotReady:
    """Answers before there are rules: the caller's default, always."""

    origin = Origin()

    def decide(
        self,
        flag_key: str,
        context: Context,  # noqa: ARG002 - as the engine has it
        default: Json = None,
        type: ValueType | None = None,  # noqa: A002, ARG002 - as the engine has it
    ) -> Decision:
        """Serve the default."""
        return Decision(as_text(flag_key) or "", default, Reason.NOT_READY, None, self.origin)

    def decide_all(self, context: Context) -> dict[str, Decision]:  # noqa: ARG002 - as the engine has it
        """No flag is known yet."""
        return {}


class Overridden:
    """Lays overrides over what else decides."""

    def __init__(self, inner: Decides, flags: Mapping[str, Flag], overrides: Overrides) -> None:
        self._inner = inner
        self.origin = inner.origin
        self._forced: dict[str, tuple[ValueType, Decision]] = {}
        for key, wanted in overrides.items():
            flag = flags.get(key)
            variant = _variant(flag, wanted)
            if variant is None:
                continue
            value = variant.value
            if flag and flag.type is ValueType.FLOAT and type(value) is int:
                value = float(value)  # as the rules serve it
            decision = Decision(key, value, Reason.OVERRIDE, variant.key, self.origin)
            self._forced[key] = (flag.type if flag else ValueType.BOOLEAN, decision)

    @property
    def forced(self) -> tuple[str, ...]:
        """The flags that an override really forces, sorted; one that names no variant forces nothing."""
        return tuple(sorted(self._forced))

    def decide(
        self,
        flag_key: str,
        context: Context,
        default: Json = None,
        type: ValueType | None = None,  # noqa: A002 - as the engine has it
    ) -> Decision:
        """Serve the forced variant if there is one of the type asked for."""
        try:
            own, decision = self._forced[flag_key]
        except Exception:  # noqa: BLE001 - a key of any kind, even one that cannot be hashed
            key = as_text(flag_key)
            if key is not None and key is not flag_key:  # a subclass of str, whose hash may be anything
                return self.decide(key, context, default, type)
            return self._inner.decide(flag_key, context, default, type)
        value = decision.value
        if type is ValueType.FLOAT and own is ValueType.INTEGER and isinstance(value, int) and float(value) == value:
            return replace(decision, value=float(value))
        if type is not None and type is not own:
            return replace(decision, value=default, variant=None, reason=Reason.WRONG_TYPE)
        return replace(decision, value=json.loads(json.dumps(value))) if isinstance(value, dict | list) else decision

    def decide_all(self, context: Context) -> dict[str, Decision]:
        """Every flag, forced or not."""
        return self._inner.decide_all(context) | {key: self.decide(key, context) for key in self._forced}


def _variant(flag: Flag | None, wanted: Wanted) -> Variant | None:
    """Return the variant that an override names; None where it names none.

    An emergency does not wait for rules: without them "on" and "off", true and false are what they are for most flags.
    """
    variants = flag.variants if flag else (Variant("on", True), Variant("off", False))
    if isinstance(wanted, bool):
        return next((variant for variant in variants if variant.value is wanted), None)
    return next((variant for variant in variants if variant.key == wanted), None)


def parse(text: str) -> Overrides:
    """Return what a file says.

    Raises:
        ValueError: neither form; the message says where.
    """
    if not text.lstrip().startswith("{"):
        return MappingProxyType(_parse_lines(text))
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply; write {flag: variant}") from None
    wrong = [key for key, value in found.items() if not isinstance(value, str | bool)]
    if wrong:
        raise ValueError(f"{wrong[0]!r} names no variant; write its key in quotes")
    return MappingProxyType(found)


def _parse_lines(text: str) -> dict[str, str | bool]:
    found: dict[str, str | bool] = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        flag, separator, variant = content.partition("=" if "=" in content else ":")
        flag, variant = flag.strip().strip("\"'"), variant.strip().strip("\"'")
        if not (separator and flag and variant):
            raise ValueError(f"line {number} is not `flag: variant`")
        found[flag] = {"true": True, "false": False}.get(variant, variant)
    return found


class OverridesFile:
    """One path, read again whenever it changed. A bad file changes nothing and is warned of once."""

    def __init__(self, path: str) -> None:
        from pathlib import Path  # a tenth of what `import rollout_sdk` may cost, and most clients read no file

        self._path = Path(path)
        self._signature: tuple[int, ...] | None = None
        self._complaint = ""
        self.current = NONE

    def refresh(self) -> bool:
        """Look at the file; return whether `current` is another than before. A file that is gone overrides nothing."""
        try:
            signature = _signature(self._path)
            if signature == self._signature:
                return False
            text = self._read() if signature is not None else ""  # where the machine is in trouble: again next time
            self._signature = signature
            found = parse(text)
        except (OSError, ValueError) as error:
            self._warn(f"is ignored: {error}; what it said before holds")
            return False
        self._complaint = ""
        if found == self.current:
            return False
        self.current = found
        _log.warning("%s overrides %s", self._path, ", ".join(sorted(found)) or "no flag any more")
        return True

    def _read(self) -> str:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a named pipe must not block
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError("it is not a regular file")
            data = file.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            raise ValueError(f"it has more than {BYTES_MAX} bytes")
        return data.decode("utf-8-sig")

    def warn_of_typing_errors(self, flags: Mapping[str, Flag]) -> None:
        """Say, once, which overrides name no flag or no variant of these: somebody in an emergency believes in them."""
        wrong = [f"{key!r} is no flag here" for key in self.current if key not in flags]
        wrong += [
            f"{wanted!r} is no variant of {key!r}, which has {', '.join(one.key for one in flags[key].variants)}"
            for key, wanted in self.current.items()
            if key in flags and _variant(flags[key], wanted) is None
        ]
        if wrong:
            self._warn(f"forces less than it says: {'; '.join(wrong)}")

    def _warn(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            _log.warning("the overrides file %s %s", self._path, complaint)


def _signature(path: Path) -> tuple[int, ...] | None:
    """What tells one state of a file from another; None where there is no file."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return (state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino)
