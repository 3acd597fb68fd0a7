"""Scenarios of the rollout machine as text: what happens, and below it what the run is then and what it asks for.

Lines that begin with "->" or with three blanks below one are written by the machine; all others by people:

    stage NAME [cohort:KEY] SHARE [ramp=1h] [soak=1h] [exit=exposed:200,healthy,approval:GROUP:2]
    finish SHARE [watch=1d]       guard NAME rollback|hold|notify [absolute]
    blind 30m rollback|hold       escalate 15m CHANNEL       tick 1m (how far apart ticks are)

    every 1m for 2h [GUARD=STANDING ["sentence"]] [exposed=10] [frozen] [waits]   ticks; guards not named are healthy
    tick +1h | tick -1h ...       one tick, that long after the last
    start|pause|rollback|kill|cancel|ack PERSON ["reason"]
    resume|approve|reject|promote|finish PERSON STAGE [to=STAGE] ["reason"]      the stage is the one that PERSON saw
    edit PERSON MARK              something that reach depends on was edited
    restart                       a new process reads the last entry and the last checkpoint

`python -m tests.scenarios.machine_script` writes the machine's lines of all scenarios anew.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from rollout_sdk.engine.model import InCohort
from rollout_server.domain.files import durations
from rollout_server.domain.guardrails.spec import AbsoluteLimit, Action, Guardrail, RelativeLimit
from rollout_server.domain.guardrails.verdict import Standing
from rollout_server.domain.machine import (
    Acknowledge,
    Approve,
    Cancel,
    ClosureEdited,
    Effect,
    Event,
    Finish,
    FlagOff,
    Judged,
    Kill,
    Notify,
    OpenAllocation,
    Pause,
    Progress,
    Promote,
    Refusal,
    Reject,
    Resume,
    Rollback,
    Run,
    SetReaches,
    Start,
    Tick,
    WriteFinalVariant,
    guards_of,
    is_transition,
    reaches,
    read_progress,
    read_run,
    restored,
    sentence,
    step,
    write_progress,
    write_run,
)
from rollout_server.domain.rollouts import AfterHold, Approval, Escalation, Exit, OnBlind, PipelineSpec, Stage
from rollout_server.domain.rollouts import Finish as FinishSpec

SCENARIOS = Path(__file__).resolve().parent / "machine"
VERBS = {"start": Start, "pause": Pause, "rollback": Rollback, "kill": Kill, "cancel": Cancel, "ack": Acknowledge}
STAGE_VERBS = {"resume": Resume, "approve": Approve, "reject": Reject, "promote": Promote, "finish": Finish}
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass
class Script:
    """One scenario as it is played."""

    stages: list[Stage] = field(default_factory=list)
    guardrails: list[Guardrail] = field(default_factory=list)
    escalation: list[Escalation] = field(default_factory=list)
    finish: FinishSpec = field(default_factory=FinishSpec)
    on_blind: OnBlind | None = None
    tick_ms: int = 60_000
    run: Run | None = None
    journaled: Run | None = None
    now_ms: int = 0

    def opened(self) -> Run:
        """The run; opened from the pipeline when something happens first."""
        if self.run is None:
            pipeline = PipelineSpec(
                tuple(self.stages),
                tuple(self.guardrails),
                finish=self.finish,
                on_blind=self.on_blind,
                escalation=tuple(self.escalation),
            )
            self.run = Run("launch", "checkout", "off", "on", 1, pipeline, guards_of(pipeline))
            self.journaled = self.run
        return self.run

    def play(self, line: str) -> list[str]:
        """Do what a line says, and return what the machine says to it."""
        words = shlex.split(line)
        if words[0] in {"stage", "finish", "guard", "blind", "escalate"} and self.run is None:
            self.declare(words)
            return []
        if words[0] == "tick" and words[1][0].isdigit():
            self.tick_ms = span_ms(words[1])
            return []
        if words[0] == "every":
            return list(self.every(words))
        if words[0] == "restart":
            return self.restart()
        return self.said(self.event(words))

    def declare(self, words: list[str]) -> None:
        """Read a line of the pipeline."""
        if words[0] == "stage":
            self.stages.append(stage_of(words[1:]))
        elif words[0] == "finish":
            options = dict(word.split("=") for word in words[2:])
            self.finish = FinishSpec(ppm(words[1]), span_ms(options.get("watch", "0m")))
        elif words[0] == "guard":
            limit = AbsoluteLimit(0.01) if "absolute" in words else RelativeLimit(100_000)
            self.guardrails.append(Guardrail(words[1], limit, Action(words[2])))
        elif words[0] == "blind":
            self.on_blind = OnBlind(span_ms(words[1]), AfterHold(words[2]))
        else:
            self.escalation.append(Escalation(span_ms(words[1]), words[2]))

    def event(self, words: list[str]) -> Event:
        """Read a line of what happens."""
        if words[0] == "tick":
            self.now_ms += span_ms(words[1].lstrip("+-")) * (-1 if words[1].startswith("-") else 1)
            return self.tick(words[2:])
        if words[0] == "edit":
            return ClosureEdited(words[1], self.now_ms, (("cohort/staff", words[2]),))
        is_frozen = "frozen" in words
        words = [word for word in words if word != "frozen"]
        extra = {"is_frozen": True} if is_frozen else {}
        event: Event
        if words[0] in VERBS:
            reason = {"reason": words[2]} if len(words) > 2 else {}
            event = VERBS[words[0]](words[1], self.now_ms, **reason, **extra)
            return event
        target = next((word.removeprefix("to=") for word in words if word.startswith("to=")), "")
        to = {"to": target} if target else {}
        rest = [word for word in words[3:] if not word.startswith("to=")]
        reason = {"reason": rest[0]} if rest else {}
        stage_verb: Event = STAGE_VERBS[words[0]](words[1], self.now_ms, words[2], **to, **reason, **extra)
        return stage_verb

    def tick(self, words: list[str]) -> Tick:
        """Read what a tick sees."""
        said: dict[str, Judged] = {guard.name: Judged(guard.name, Standing.HEALTHY) for guard in self.opened().guards}
        exposed, last = 0, ""
        for word in words:
            name, is_fact, value = word.partition("=")
            if name == "exposed":
                exposed = int(value)
            elif is_fact:
                last = name
                said[name] = Judged(name, Standing(value.removesuffix("!")), hold=value.endswith("!"))
            elif word not in {"frozen", "waits"}:
                said[last] = replace(said[last], sentence=word)
        return Tick(self.now_ms, self.tick_ms, tuple(said.values()), exposed, "frozen" in words, "waits" not in words)

    def every(self, words: list[str]) -> Iterator[str]:
        """Tick for a while; only ticks that ask for something, and the last one, are worth lines."""
        each_ms, whole_ms = span_ms(words[1]), span_ms(words[3])
        before_ms = self.now_ms
        said: list[str] = []
        while self.now_ms - before_ms < whole_ms:
            self.now_ms += each_ms
            was = self.opened()
            said = self.said(self.tick(words[4:]))
            if is_transition(was, self.opened()):
                yield f"-> after {durations.show(self.now_ms - before_ms)}: {said[0].removeprefix('-> ')}"
                yield from said[1:]
                said = []
        yield from said

    def said(self, event: Event) -> list[str]:
        """Step, and return the run and its effects in words."""
        before = self.opened()
        self.run, effects = step(before, event)
        if is_transition(before, self.run):
            self.journaled = self.run
        return [f"-> {self.run.phase.value}: {sentence(self.run)}", *(f"   {shown(effect)}" for effect in effects)]

    def restart(self) -> list[str]:
        """Read what is stored, as a new process does."""
        run, journaled = self.opened(), self.journaled or self.opened()
        tree = json.loads(json.dumps(write_run(journaled, lambda _pipeline: None)))
        checkpoint = read_progress(json.loads(json.dumps(write_progress(run.progress))))
        again = restored(read_run(tree, lambda _tree: run.pipeline), checkpoint if run.transition else Progress())
        verdict = "the same" if again == run else "NOT the same"
        self.run = again
        return [f"-> {again.phase.value}: {sentence(again)} ({verdict})"]


def stage_of(words: list[str]) -> Stage:
    """Read a stage."""
    name, *rest = words
    audience = next((InCohort(word.removeprefix("cohort:")) for word in rest if word.startswith("cohort:")), None)
    share = next(word for word in rest if word.endswith("%"))
    options = dict(word.split("=") for word in rest if "=" in word)
    wanted = Exit()
    for part in filter(None, options.get("exit", "").split(",")):
        kind, *values = part.split(":")
        if kind == "exposed":
            wanted = replace(wanted, exposed=int(values[0]))
        elif kind == "healthy":
            wanted = replace(wanted, is_healthy=True)
        else:
            wanted = replace(wanted, approval=Approval(values[0], int(values[1])))
    ramp_ms, soak_ms = (span_ms(options.get(word, "0m")) for word in ("ramp", "soak"))
    return Stage(name, ppm(share), audience, ramp_ms, soak_ms, wanted)


def span_ms(text: str) -> int:
    """Read a duration of one unit: "90s"."""
    unit = text.lstrip("0123456789")
    return int(text.removesuffix(unit)) * _UNITS_MS[unit]


def ppm(text: str) -> int:
    """Read a share: "2.5%"."""
    return round(float(text.rstrip("%")) * 10_000)


def shown(effect: Effect) -> str:
    """Return an effect in words."""
    match effect:
        case SetReaches():
            whom = [one.audience.cohort if isinstance(one.audience, InCohort) else "everyone" for one in effect.reaches]
            shares = [f"{one.share_ppm / 10_000:g} % of {who}" for one, who in zip(effect.reaches, whom, strict=True)]
            return f"commit: SDKs expose {', '.join(shares) or 'nobody'}"
        case FlagOff():
            return f"commit: {effect.flag} is off"
        case WriteFinalVariant():
            return f"commit: {effect.flag} serves {effect.variant} for good"
        case OpenAllocation():
            return f"then: allocation {effect.number}"
        case Notify(notice=notice):
            return f"then: tell {' and '.join(notice.channels) or 'the events feed'}: {notice.sentence}"
        case Refusal():
            return f"refused ({effect.rule}): {effect.message}; {effect.hint}"


def played(text: str) -> str:
    """Return a scenario with what the machine says to it today."""
    script, lines = Script(), []
    for line in text.splitlines():
        if line.startswith(("->", "   ")):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += script.play(line)
    assert reaches(script.opened()) is not None
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for path in sorted(SCENARIOS.glob("*.txt")):
        path.write_text(played(path.read_text(encoding="utf-8")), encoding="utf-8")
