"""Write the diagram and the table in docs/machine.md from the machine's own table; `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from rollout_server.domain.machine import ENDED, EVENTS, TABLE, Event, Phase

PAGE = Path(__file__).resolve().parents[1] / "docs" / "machine.md"
BEGIN, END = "<!-- generated: begin -->\n", "<!-- generated: end -->\n"


def state(phase: Phase) -> str:
    """Return the name of a state in the diagram."""
    return phase.value.replace(" ", "_")


def event_name(kind: type[Event]) -> str:
    """Return what people call an event: "closure edited"."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in kind.__name__).strip()


def diagram() -> str:
    """Return the state diagram, one arrow for each pair of phases."""
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for kind in EVENTS:
        for phase in Phase:
            for after, when in TABLE[phase, kind].leads_to.items():
                label = f"{event_name(kind)} ({when})" if when else event_name(kind)
                arrows.setdefault((phase, after), []).append(label)
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{phase.value}" as {state(phase)}' for phase in Phase if " " in phase.value]
    lines.append(f"    [*] --> {state(Phase.SCHEDULED)}")
    lines += [f"    {state(a)} --> {state(b)}: {' / '.join(labels)}" for (a, b), labels in arrows.items()]
    lines += [f"    {state(phase)} --> [*]" for phase in Phase if phase in ENDED]
    return "\n".join([*lines, "```", ""])


def table() -> str:
    """Return the table, a row for each event."""
    head = "| event | " + " | ".join(phase.value for phase in Phase) + " |"
    rows = [f"| {event_name(kind)} | {' | '.join(cell(phase, kind) for phase in Phase)} |" for kind in EVENTS]
    return "\n".join([head, "|---" * (len(Phase) + 1) + "|", *rows, ""])


def cell(phase: Phase, kind: type[Event]) -> str:
    """Return where an event leads: to other phases, nowhere ("stays"), or that it is refused."""
    found = TABLE[phase, kind]
    if found.is_refused:
        return "refused"
    moves = ", ".join(after.value for after in found.leads_to)
    return f"→ {moves}" if moves else "stays"


def page(text: str) -> str:
    """Return the page with its generated part written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{diagram()}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if "--check" in sys.argv[1:]:
        if new != old:
            sys.exit("docs/machine.md is stale: run scripts/write_machine_diagram.py")
    else:
        PAGE.write_text(new, encoding="utf-8")
        print(f"wrote {PAGE}")
