"""A population made up from what the flags themselves ask: the values they compare with, and near misses of them.

Without chance: the same seed gives the same contexts, on every machine and in every release of Python. Each draw is a
hash of (seed, number of the context, what is drawn), so that contexts do not depend on the ones before.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from ipaddress import ip_network
from itertools import islice
from typing import TYPE_CHECKING

from rollout_sdk.engine.context import Context
from rollout_sdk.engine.model import All, Any, ByRollout, InCohort, Leaf, Not
from rollout_server.domain.resources import CohortSpec, FlagSpec, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rollout_sdk.engine.model import Condition, Flag, Operand, Ruleset
    from rollout_server.domain.journal import State

VALUES_MAX = 64
"""Values kept for one attribute."""

MEMBERS_MAX = 1_024
"""Keys kept for one kind of unit."""

_MISSING_IN = 8
_FATES = 16
_LISTED_FATES = 4
"""Of 16 contexts one lacks a unit, 4 have a listed one, the others one of their own."""
_SAMPLES: tuple[object, ...] = ("other", 7, True, None, [], {})
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9@._ -]+")
_YEAR = re.compile(r"\d{4}")


def synthetic(
    rulesets: Sequence[Ruleset], flags: Iterable[str], members: Mapping[str, Sequence[str]], count: int, seed: int = 0
) -> Iterator[Context]:
    """Yield contexts that tell these flags apart.

    Args:
        rulesets: whose conditions to draw from; both sides of a plan.
        flags: keys; what they require and the cohorts they name are drawn from too.
        members: kind of unit to keys worth trying, see `members_of`.
        count: how many.
        seed: another one gives other contexts.
    """
    pool = _Pool()
    keys = list(flags)
    for ruleset in rulesets:
        pool.collect(ruleset, keys)
    for kind, listed in members.items():
        if kind in pool.units:
            pool.units[kind].update(dict.fromkeys(listed[:MEMBERS_MAX]))
    attributes = {path: list(values.values()) for path, values in sorted(pool.attributes.items())}
    units = {kind: list(listed) for kind, listed in sorted(pool.units.items())}
    for number in range(count):
        yield _context(f"{seed}/{number}", number, units, attributes)


def members_of(state: State) -> dict[str, tuple[str, ...]]:
    """Return unit keys that flags and cohorts of a state list, by kind of unit: some of each list."""
    found: dict[str, dict[str, None]] = {}
    for resource in state.resources.values():
        spec = resource.spec
        if resource.kind is Kind.FLAG and isinstance(spec, FlagSpec):
            lists = [target.units for target in spec.targets]
        elif isinstance(spec, CohortSpec):
            lists = [spec.include, spec.exclude]
        else:
            continue
        for keys in lists:
            found.setdefault(spec.unit, {}).update(dict.fromkeys(keys[:VALUES_MAX]))
    return {kind: tuple(islice(keys, MEMBERS_MAX)) for kind, keys in found.items()}


def _context(name: str, number: int, units: Mapping[str, list[str]], attributes: Mapping[str, list[object]]) -> Context:
    keys: dict[str, str] = {}
    for kind, listed in units.items():
        drawn = _draw(name, kind)
        fate = drawn % _FATES
        if fate and (fate > _LISTED_FATES or not listed):
            keys[kind] = f"{kind}-{number:06}"
        elif fate:
            keys[kind] = listed[drawn // _FATES % len(listed)]
    values: dict[str, object] = {}
    for path, pool in attributes.items():
        drawn = _draw(name, "." + path)
        if drawn % _MISSING_IN:
            values[path] = pool[drawn // _MISSING_IN % len(pool)]
    return Context.of(keys, values)


def _draw(name: str, what: str) -> int:
    return int.from_bytes(blake2b(f"{name}/{what}".encode(errors="replace"), digest_size=8).digest())


class _Pool:
    """Values worth trying: by attribute, and by kind of unit."""

    def __init__(self) -> None:
        self.attributes: dict[str, dict[str, object]] = {}
        self.units: dict[str, dict[str, None]] = {}

    def collect(self, ruleset: Ruleset, flags: Iterable[str]) -> None:
        """Take values from these flags, what they require, and the cohorts they name."""
        flag_keys, seen = list(flags), set[str]()
        conditions: list[Condition] = []
        while flag_keys:
            flag = ruleset.flags.get(flag_keys.pop())
            if flag is None or flag.key in seen:
                continue
            seen.add(flag.key)
            flag_keys += [requirement.flag for requirement in flag.requires]
            conditions += [*flag.never, *(rule.when for rule in flag.rules if rule.when is not None)]
            conditions += _of_rollouts(ruleset, flag)
            units = self.units.setdefault(flag.unit, {})
            for target in flag.targets:
                units.update(dict.fromkeys(target.units[:VALUES_MAX]))
        self._collect_conditions(ruleset, conditions)

    def _collect_conditions(self, ruleset: Ruleset, conditions: list[Condition]) -> None:
        seen: set[str] = set()
        while conditions:
            condition = conditions.pop()
            match condition:
                case All(conditions=parts) | Any(conditions=parts):
                    conditions += parts
                case Not(condition=part):
                    conditions.append(part)
                case InCohort(cohort=key):
                    cohort = ruleset.cohorts.get(key)
                    if cohort is not None and key not in seen:
                        seen.add(key)
                        self.units.setdefault(cohort.unit, {})
                        conditions += [] if cohort.when is None else [cohort.when]
                case Leaf():
                    self._collect_leaf(condition)

    def _collect_leaf(self, leaf: Leaf) -> None:
        values = list(islice(_values(leaf), VALUES_MAX))
        if leaf.is_unit:
            texts = [value for value in values if isinstance(value, str) and value]
            self.units.setdefault(leaf.subject, {}).update(dict.fromkeys(texts))
            return
        pool = self.attributes.setdefault(leaf.subject, {})
        for value in (*values, *_SAMPLES[:2]):
            if len(pool) < VALUES_MAX:
                pool.setdefault(f"{type(value).__name__} {value!r}", value)


def _of_rollouts(ruleset: Ruleset, flag: Flag) -> Iterator[Condition]:
    """Yield what the rollouts ask that answer for a flag: their `never`, and the audiences of stages entered."""
    for rule in flag.rules:
        state = ruleset.rollouts.get(rule.outcome.rollout) if isinstance(rule.outcome, ByRollout) else None
        if state is not None:
            yield from state.never
            yield from (reach.audience for reach in state.reaches if reach.audience is not None)


def _values(leaf: Leaf) -> Iterator[object]:
    """Yield values that the leaf holds for, and values it just does not hold for."""
    operands = leaf.operand if isinstance(leaf.operand, tuple) else (leaf.operand,)
    match leaf.operator:
        case "any_of" | "all_of" | "none_of":
            yield from ([], [operands[0]], list(operands), ["other", *operands[:1]])
        case "size":
            yield from (
                ["x"] * max(0, size + by) for size in _numbers(operands) if size < VALUES_MAX for by in (-1, 0, 1)
            )
        case "modulo" if len(operands) == 2 and all(isinstance(one, int) for one in operands):  # noqa: PLR2004 - a pair
            divisor, remainder = (int(one) for one in operands if isinstance(one, int))
            yield from (remainder, remainder + 1, divisor + remainder)
        case "exists" | "type":
            yield from _SAMPLES
        case "cidr":
            for text in operands:
                yield from _addresses(text)
        case "semver":
            for major, minor, patch in _VERSION.findall(str(leaf.operand)):
                whole = (int(major), int(minor or 0), int(patch or 0))
                yield from (
                    f"{whole[0]}.{whole[1]}.{whole[2]}",
                    f"{whole[0]}.{whole[1]}.{whole[2] + 1}",
                    f"{whole[0] + 1}.0.0",
                )
        case "before" | "after":
            text = str(leaf.operand)
            yield from (text, *(_YEAR.sub(year, text, count=1) for year in ("2001", "2099")))
        case _:
            for operand in operands:
                yield from _near(leaf, operand)


def _near(leaf: Leaf, operand: Operand) -> Iterator[object]:
    if isinstance(operand, bool):
        yield from (operand, not operand)
    elif isinstance(operand, int | float):
        yield from (operand, operand + 1, operand - 1)
    elif isinstance(operand, str):
        yield from {
            "starts_with": (operand + "x", "x" + operand),
            "ends_with": ("x" + operand, operand + "x"),
            "contains": ("x" + operand + "x", operand[:-1]),
            "regex": (_NOT_PLAIN.sub("", operand), operand),
        }.get(leaf.operator, (operand, operand + "x"))


def _numbers(operands: Iterable[Operand]) -> Iterator[int]:
    yield from (operand for operand in operands if isinstance(operand, int) and not isinstance(operand, bool))


def _addresses(text: Operand) -> Iterator[object]:
    """Yield the ends of a network and the address behind it; nothing where the text names none."""
    try:
        network = ip_network(str(text))
    except ValueError:
        return
    yield from (str(network.network_address), str(network.broadcast_address))
    if int(network.broadcast_address) + 1 < 2**network.max_prefixlen:
        yield str(network.broadcast_address + 1)
