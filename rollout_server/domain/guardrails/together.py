"""Several guardrails: roll back when the weighted sum of their E's reaches 1/alpha.

Weights sum to 1, so the sum is an e-process under "no guardrail is past its limit", whatever the metrics share; and
it is never later than Bonferroni, which waits for one of them to reach 1 / (weight alpha) alone. Only guardrails
whose action is rollback enter the sum; those that hold or notify are judged alone, each at alpha.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, inf, log

from rollout_server.domain.guardrails.judge import Judge
from rollout_server.domain.guardrails.look import Look
from rollout_server.domain.guardrails.spec import Action, Guardrail
from rollout_server.domain.guardrails.state import GuardrailState
from rollout_server.domain.guardrails.verdict import Reason, Verdict


def weights(guardrails: Sequence[Guardrail]) -> list[float]:
    """Return the weight of each guardrail: those that roll back share 1, the others have 1 of their own.

    A weight of 0 asks for an equal share of what the given ones leave; given weights are scaled down if they exceed 1,
    and up if nobody shares the rest.
    """
    rolling = [guardrail for guardrail in guardrails if guardrail.action is Action.ROLLBACK]
    given = sum(guardrail.weight for guardrail in rolling)
    sharing = sum(1 for guardrail in rolling if not guardrail.weight)
    equal = 1 / len(rolling) if rolling else 1.0
    rest = max(0.0, 1 - given) if sharing else 0.0
    # Nothing left to share would blind the rest: then they count as equals, and all is scaled.
    each = (rest / sharing if rest > 0 else equal) if sharing else 0.0
    whole = given + each * sharing
    return [
        (guardrail.weight or each) / whole if guardrail.action is Action.ROLLBACK else 1.0 for guardrail in guardrails
    ]


def verdicts(judges: Sequence[Judge], states: Sequence[GuardrailState], looks: Sequence[Look]) -> tuple[Verdict, ...]:
    """Return the verdict of each guardrail of one run, judged together.

    Args:
        judges: one for each guardrail.
        states: after the last window, in the same order.
        looks: of each, in the same order; they differ in their feeds only.
    """
    blamed = _blamed(judges, states, looks)
    return tuple(
        judge.verdict(state, look, blamed.get(place))
        for place, (judge, state, look) in enumerate(zip(judges, states, looks, strict=True))
    )


def log_sum(logs: Sequence[float]) -> float:
    """Return the logarithm of a sum."""
    high = max(logs)
    return high if high == -inf else high + log(sum(exp(value - high) for value in logs))


def _blamed(judges: Sequence[Judge], states: Sequence[GuardrailState], looks: Sequence[Look]) -> Mapping[int, Reason]:
    shares = weights([judge.guardrail for judge in judges])
    logs = [
        log(share) + judge.log_blamable(state, look)
        for share, judge, state, look in zip(shares, judges, states, looks, strict=True)
    ]
    blamed = {
        place: Reason.PAST_LIMIT
        for place, (value, look) in enumerate(zip(logs, looks, strict=True))
        if value >= log(1 / look.alpha)
    }
    rolling = [place for place, judge in enumerate(judges) if judge.guardrail.action is Action.ROLLBACK]
    if rolling and not any(place in blamed for place in rolling):
        carrier = max(rolling, key=lambda place: logs[place])
        if log_sum([logs[place] for place in rolling]) >= log(1 / looks[carrier].alpha):
            blamed[carrier] = Reason.TOGETHER
    return blamed
