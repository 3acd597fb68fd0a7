"""What `rollout demo` tells: act by act, and whether it went as it should.

All that is printed is measured: by the server, and by the visitors' own count beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout_server.cli import demo_table, rollout_answers
from rollout_server.cli.demo_crew import SHOPS, VISITS_PER_S, Crew, typed
from rollout_server.cli.failures import CommandFailed, ServerRefused
from rollout_server.cli.screen import BAD, DIM, GOOD, STRONG, WARN, Mark, quantity
from rollout_server.cli.session import Session

if TYPE_CHECKING:
    from rollout_sdk.wire.v1 import control_pb2
    from rollout_server.cli.screen import Screen

GOOD_RELEASE, BAD_RELEASE = "one-page-checkout", "instant-search"
_HALF_PPM = 500_000
_POLL_MS = 250
START_MS = 30_000
_ACT_MS = 90_000
_WARM_UP_MS, _OUTAGE_MS = 6_000, 6_000


@dataclass
class Story:
    """What happens, act by act, and whether it was as it should be.

    Attributes:
        outer: of whoever typed `rollout demo`.
        session: with the demo's own server.
        began_ms: when the demo began, by the monotonic clock.
    """

    outer: Session
    crew: Crew

    def __post_init__(self) -> None:
        self.began_ms = self.outer.world.monotonic_ms()
        self.session = Session(self.outer.world)

    @property
    def screen(self) -> Screen:
        """Where it is told."""
        return self.outer.screen

    def open(self) -> None:
        """Start everybody, and wait until the shops are connected and visited."""
        self.serve()
        self.session.remember(server=self.crew.address, token=self.crew.token, environment="production")
        self.type("apply", "-f", str(self.crew.examples / "demo" / "release.yaml"), "--yes", "--reason", "two releases")
        self.crew.open_shops(self._sdk_token())
        self.until(lambda: self.connected() == SHOPS, START_MS, f"{SHOPS} shops are connected")
        self.until(lambda: self.visits() > VISITS_PER_S, START_MS, "visitors come")
        self.say(f"{SHOPS} shops are connected, visitors come")
        self.pause(_WARM_UP_MS)

    def serve(self) -> None:
        """Start what serves, and wait until it does."""
        self.say(f"a server, {SHOPS} copies of a shop and {VISITS_PER_S} visits a second, all on this machine")
        self.crew.serve()
        self.until(self.answers, START_MS, "the server answers")

    def good_release(self) -> None:
        """Roll out what is good; half-way everything breaks for everybody."""
        self.act("A good release, and an outage that is not its fault")
        before = self.crew.seen()
        self.type("start", GOOD_RELEASE, "--reason", "one page instead of four")
        self.follow(GOOD_RELEASE, until=lambda rollout: rollout.stage == "half" and rollout.share_ppm >= _HALF_PPM)
        self.say("the payment provider is away: visits fail, in the shops that expose and those that do not", WARN)
        self.crew.outage.touch()
        until_ms = self.outer.world.monotonic_ms() + _OUTAGE_MS
        self.follow(GOOD_RELEASE, until=lambda _: self.outer.world.monotonic_ms() >= until_ms)
        self.crew.outage.unlink()
        self.say("the payment provider is back", WARN)
        rollout = self.follow(GOOD_RELEASE, until=lambda rollout: rollout.phase == "completed")
        self.seen("checkout", before)
        self.note("the outage fell on more of those with `on`: pooled, they look worse, so stages are judged apart")
        self.expect(rollout.phase == "completed", "the good release did not complete")
        self.type("finish", GOOD_RELEASE, "--reason", "it stays")

    def bad_release(self) -> None:
        """Roll out what is slower and fails more often, for whom it is exposed to only."""
        self.act("A bad release: slower, and failing, for exposed users only")
        before = self.crew.seen()
        self.type("start", BAD_RELEASE, "--reason", "results while people type")
        self.amid(BAD_RELEASE)
        rollout = self.follow(BAD_RELEASE, until=lambda rollout: rollout.phase in rollout_answers.ENDED)
        self.seen("search", before)
        self.expect(rollout.phase == "rolled back", "the bad release was not rolled back")
        self.expect(rollout.end.who == "engine", "the bad release was rolled back by somebody, not by itself")

    def amid(self, key: str) -> None:
        """Do what happens besides while the bad release is exposed: nothing here."""

    def close(self) -> None:
        """Prove it, and show what each stage saw."""
        self.act("The certificate")
        code = self.type("rollback", BAD_RELEASE)
        self.expect(code == 0, "not every process is known to obey")
        self.act("What each stage saw (candidate against control, always-valid 95 % intervals)")
        rows = [row for key in (GOOD_RELEASE, BAD_RELEASE) for row in demo_table.rows(self.session, key)]
        self.screen.table(demo_table.COLUMNS, rows)
        self.screen.line()
        self.say("a good release completed, an outage was nobody's fault, a bad release was taken back", GOOD)

    def follow(self, key: str, until: object) -> control_pb2.Rollout:
        """Tell what a rollout does until it is so far, or over."""
        is_reached = until if callable(until) else bool
        end_ms = self.outer.world.monotonic_ms() + _ACT_MS
        said: tuple[object, ...] = ()
        while True:
            self.crew.check()
            rollout = rollout_answers.fetch(self.session, f"rollout/{key}")
            state = (rollout.phase, rollout.stage, tuple(one.standing for one in rollout.guardrails))
            if state != said:
                said = state
                self._tell(rollout)
            if is_reached(rollout) or rollout.phase in {"rolled back", "completed"}:
                return rollout
            self.expect(self.outer.world.monotonic_ms() < end_ms, f"{key} stands still: {rollout.sentence}")
            self.pause(_POLL_MS)

    def _tell(self, rollout: control_pb2.Rollout) -> None:
        style = {"rolled back": BAD, "completed": GOOD, "held": WARN}.get(rollout.phase, "")
        self.say(rollout.sentence, style)
        if rollout.phase == "rolled back":
            return
        for guardrail in rollout.guardrails:
            if guardrail.action == "rollback" and guardrail.sentence:
                self.note(guardrail.sentence)

    def type(self, *arguments: str) -> int:
        """Type a command, and show what it printed."""
        self.screen.line(Mark(typed(arguments), STRONG))
        output, code = self.crew.command(*arguments)
        lines = [line for line in output.splitlines() if line.strip()]
        shown = lines if arguments[0] != "apply" else lines[-2:]
        for line in shown:
            self.screen.line(f"  {line}")
        if code and arguments[0] != "rollback":
            raise CommandFailed(f"rollout {arguments[0]} failed", details=lines[-8:])
        return code

    def seen(self, flag: str, before: dict[str, int]) -> None:
        """Say what visitors counted themselves since then."""
        now = self.crew.seen()
        parts = []
        for variant in ("on", "off"):
            visits, failed = (
                now.get(f"{flag} {variant} {what}", 0) - before.get(f"{flag} {variant} {what}", 0)
                for what in ("visits", "failed")
            )
            if visits:
                parts.append(f"with {variant} {failed / visits:.1%} of {quantity(visits, 'visit')} failed")
        self.note(f"visitors' own count: {', '.join(parts)}")

    def note(self, text: str) -> None:
        """Write what explains the line before."""
        self.screen.line(Mark(f"          {text}", DIM))

    def act(self, title: str) -> None:
        """Begin a part."""
        self.screen.line()
        self.screen.line(Mark(f"── {title}", STRONG))

    def say(self, text: str, style: str = "") -> None:
        """Write a line with the time since the beginning."""
        elapsed_ms = self.outer.world.monotonic_ms() - self.began_ms
        self.screen.line(Mark(f"{elapsed_ms / 1_000:6.1f} s  ", DIM), Mark(text, style))

    def pause(self, length_ms: int) -> None:
        """Let time pass."""
        self.outer.world.pause(length_ms)

    def until(self, is_so: object, within_ms: int, what: str) -> None:
        """Wait for something, and end the demo where it does not come."""
        ask = is_so if callable(is_so) else bool
        end_ms = self.outer.world.monotonic_ms() + within_ms
        while not ask():
            self.crew.check()
            self.expect(self.outer.world.monotonic_ms() < end_ms, f"waited {within_ms // 1_000} s in vain until {what}")
            self.screen.progress(f"waiting until {what}")
            self.pause(_POLL_MS)
        self.screen.end_progress()

    def answers(self) -> bool:
        """Whether the server takes commands."""
        return (self.crew.home / "data" / "first-admin-token").exists() and self.crew.command("status")[1] == 0

    def _sdk_token(self) -> str:
        from rollout_sdk.wire.v1 import control_pb2

        connection = self.session.connection
        request = control_pb2.CreateTokenRequest(
            intent=self.session.intent("the shops", None), role="sdk", person="shop"
        )
        return connection.ask(connection.stub.CreateToken, request).secret

    def connected(self) -> int:
        """Return how many processes are connected; 0 where the server does not say."""
        from rollout_sdk.wire.v1 import control_pb2

        connection = self.session.connection
        try:
            return connection.ask(connection.stub.GetStatus, control_pb2.GetStatusRequest()).instances_connected
        except ServerRefused:
            return 0

    def visits(self) -> int:
        """Return how many visits the visitors counted so far."""
        seen = self.crew.seen()
        return seen.get("checkout on visits", 0) + seen.get("checkout off visits", 0)

    @staticmethod
    def expect(is_so: bool, otherwise: str) -> None:  # noqa: FBT001 - an assertion of the story
        """End the demo where something is not as it should be."""
        if not is_so:
            raise CommandFailed(f"the demo did not go as it should: {otherwise}", "keep its logs with --keep DIR")
