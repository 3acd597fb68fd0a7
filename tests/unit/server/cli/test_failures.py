"""How commands end."""

from rollout_server.cli.failures import CommandFailed, Exit, ServerRefused, did_you_mean, usage


def test_exit_codes_are_those_of_the_page() -> None:
    """Scripts rely on these numbers; a change is a breaking one."""
    assert {code.name: int(code) for code in Exit} == {
        "DONE": 0,
        "FAILED": 1,
        "USAGE": 2,
        "DIFFERENCES": 3,
        "ROLLED_BACK": 4,
        "NOT_IN_FORCE": 5,
        "APPROVAL_NEEDED": 6,
        "CONFLICT": 7,
        "NOT_ALLOWED": 8,
        "UNREACHABLE": 9,
        "INTERRUPTED": 130,
        "BROKEN_PIPE": 141,
    }


def test_a_near_miss_is_suggested_and_a_far_one_is_not() -> None:
    assert did_you_mean("chekout", ["checkout", "new-cart"]) == "did you mean checkout?"
    assert did_you_mean("zzz", ["checkout"]) == ""


def test_failures_carry_what_where_and_next() -> None:
    failed = usage("what", "next")
    assert (failed.what, failed.hint, failed.exit_code) == ("what", "next", Exit.USAGE)
    assert str(CommandFailed("what")) == "what"
    refused = ServerRefused("no", code="conflict", details=["a"], exit_code=Exit.CONFLICT)
    assert (refused.code, refused.details, refused.problems) == ("conflict", ("a",), ())
