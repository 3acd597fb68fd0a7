from tests.rulesets import cohort, compiled, flag, in_cohort, leaf, serve


def test_compiled_things_are_told_apart_by_identity() -> None:
    """Two compilations of equal rules are two things: only the same object proves that nothing changed."""
    rules = (flag("f", serve(in_cohort())), cohort(when=leaf("a", "exists", operand=True)))
    one, other = compiled(*rules), compiled(*rules)
    assert one.flags["f"].flag == other.flags["f"].flag
    assert one.flags["f"] != other.flags["f"]
    assert one.cohorts["c"] != other.cohorts["c"]
