"""How long a verdict takes: nats per window, the floor that no test can beat, and estimates at recent traffic."""

from __future__ import annotations

from math import ceil, log

PENALTY = 2.0  # nats that not knowing size and onset costs a mixture, about


def divergence(p: float, q: float) -> float:
    """Return KL(p, q) of two Bernoulli rates, in nats per unit; q in (0, 1)."""
    first = p * log(p / q) if p > 0 else 0.0
    second = (1 - p) * log((1 - p) / (1 - q)) if p < 1 else 0.0
    return first + second


def nats(n_t: float, p_t: float, n_c: float, p_c: float, bound: float = 1.0) -> float:
    """Return the information of one window against the closest null: min over q of n_T KL(p_T, r0 q) + n_C KL(p_C, q).

    It is the floor of Wald: no sequential test gains more per window on average.
    """
    if not n_t or not n_c:
        return 0.0
    low, high = 0.0, min(1.0, 1 / bound)
    golden = 0.6180339887498949

    def cost(q: float) -> float:
        return n_t * divergence(p_t, bound * q) + n_c * divergence(p_c, q)

    low, high = high * 1e-9, high * (1 - 1e-9)
    for _ in range(100):
        third = golden * (high - low)
        left, right = high - third, low + third
        if cost(left) < cost(right):
            high = right
        else:
            low = left
    return cost((low + high) / 2)


def windows_needed(nats_per_window: float, alpha: float, penalty: float = PENALTY) -> int | None:
    """Return how many windows bring E to 1/alpha at such a pace; None when they never do."""
    return ceil((log(1 / alpha) + penalty) / nats_per_window) if nats_per_window > 0 else None


def windows_left(error: float, windows: int, distance: float, log_e: float, alpha: float) -> int | None:
    """Return how many more windows like the recent ones it takes to be sure.

    Args:
        error: standard error of the estimate over the recent windows.
        windows: how many those are.
        distance: from the truth that is supposed to the edge that is tested, on the estimate's scale.
        log_e: evidence so far.
        alpha: 1/alpha is the evidence that suffices.
    """
    if error <= 0 or windows <= 0 or not distance:
        return None
    per_window = (distance / error) ** 2 / 2 / windows
    lacking = log(1 / alpha) - log_e
    if lacking <= 0:
        return 0
    started = log_e > 1  # what size and onset cost is paid once evidence has left 1
    return ceil((lacking + (0 if started else PENALTY)) / per_window)
