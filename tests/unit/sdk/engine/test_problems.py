import pytest

from rollout_sdk.engine.problems import Problem


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (
            Problem(
                "flag/f", "spec.off", "unknown_variant", "there is no variant 'of'", "did you mean 'off'?", "f.yaml:3:2"
            ),
            "f.yaml:3:2: flag/f: spec.off: there is no variant 'of' (did you mean 'off'?)",
        ),
        (Problem("flag/f", "", "x", "it is wrong"), "flag/f: it is wrong"),
        (Problem("", "", "x", "it is wrong", "mend it"), "it is wrong (mend it)"),
    ],
)
def test_a_problem_is_one_line(problem: Problem, line: str) -> None:
    """Where, what, and what next; what is not known is left out."""
    assert str(problem) == line
