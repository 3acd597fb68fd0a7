"""Results as the tables of docs/performance.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.sdk.environments import ROOT
from benchmarks.sdk.measure import Results, Values
from benchmarks.sdk.scenarios import COMPILED, OURS, PEERS, SCENARIOS, Scenario

PAGE = ROOT / "docs" / "performance.md"
TITLES: Mapping[str, str] = {OURS: "pure Python, as installed", COMPILED: "the engine compiled"}


def begin(who: str) -> str:
    """Return the line before a table."""
    return f"<!-- measured: {who} -->"


END = "<!-- end of what was measured -->"


def ratios(values: Values, who: str, peer: str) -> list[float]:
    """Return ours over the peer's, round by round."""
    return [ours / theirs for ours, theirs in zip(values[who], values[peer], strict=True)]


def verdict(scenario: Scenario, values: Values, who: str) -> str:
    """Say whether the budgets are met; empty where there is none."""
    said = []
    if scenario.budget_absolute is not None:
        figure = median(values[who]) / scenario.divisor
        said.append(_met(figure <= scenario.budget_absolute, f"{scenario.budget_absolute:g} {scenario.unit}"))
    for peer, most in (scenario.budgets_compiled if who == COMPILED else scenario.budgets).items():
        if peer in values:
            said.append(_met(median(ratios(values, who, peer)) <= most, f"{most:g}x {peer}"))
    return ", ".join(said)


def _met(is_met: bool, budget: str) -> str:  # noqa: FBT001 - one question
    return f"{budget}: {'met' if is_met else '**missed**'}"


def table(results: Results, who: str, versions: Mapping[str, str]) -> str:
    """Return one table in Markdown: a row a scenario, a column a peer."""
    present = [peer for peer in PEERS if all(peer in values for values in results.values.values())]
    heads = ["scenario", "ours", *(f"over {versions[peer]}" for peer in present), "budget"]
    lines = [_line(heads), _line(["---"] * len(heads))]
    for scenario in SCENARIOS:
        values = results.values.get(scenario.name)
        if values is None or who not in values:
            continue
        ours = f"{median(values[who]) / scenario.divisor:.3g} {scenario.unit}"
        others = [_ratio(ratios(values, who, peer)) for peer in present]
        lines.append(_line([scenario.title, ours, *others, verdict(scenario, values, who)]))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ratio(found: Sequence[float]) -> str:
    return f"{median(found):.2g}x ({min(found):.2g} to {max(found):.2g})"


def write(results: Results, who: str, versions: Mapping[str, str], page: Path = PAGE) -> None:
    """Put a table between its markers on the page."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin(who))
    _, _, after = rest.partition(END)
    if not after:
        raise ValueError(f"{page} has no {begin(who)} ... {END}; put the two lines where the table belongs")
    page.write_text(f"{before}{begin(who)}\n\n{table(results, who, versions)}\n\n{END}{after}", encoding="utf-8")


def rows(page: Path, who: str) -> list[str]:
    """Return the first cells of the rows of a table on the page."""
    _, _, rest = page.read_text(encoding="utf-8").partition(begin(who))
    lines = [line for line in rest.partition(END)[0].splitlines() if line.startswith("|")]
    return [line.split("|")[1].strip() for line in lines[2:]]
