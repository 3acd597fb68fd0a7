"""Problems as they are collected."""

from rollout_sdk.engine.findings import SUGGESTIONS_MAX, Findings, child, show


def test_places_are_written_as_in_documents() -> None:
    """Plain names stand after a dot, others in quotes, numbers in brackets."""
    assert child("spec.rules", 2) == "spec.rules[2]"
    assert child("spec.targets", "on") == "spec.targets.on"
    assert child("spec.when", "<=") == "spec.when.<="
    assert child("spec.variants", "a b") == 'spec.variants["a b"]'
    assert child("spec.variants", 'a"b.c') == 'spec.variants["a\\"b.c"]'


def test_text_is_shown_on_one_line_with_nothing_hidden() -> None:
    """Controls and bidi marks appear as code points, and long text is cut."""
    assert show("a\u202e\nb") == '"a<U+202E><U+000A>b"'
    assert len(show("x" * 1_000)) < 70


def test_a_near_miss_is_suggested() -> None:
    """Who mistypes is told what they meant, else what to do."""
    findings = Findings("flag/a")
    findings.unknown("spec.off", "variant", "of", ["on", "off"])
    findings.unknown("spec.off", "variant", "zzz", ["on", "off"])
    findings.unknown("spec.requires[0].flag", "flag", "zzz", ["checkout"])
    assert [problem.hint for problem in findings.problems] == [
        'did you mean "off"?',
        'the variants are "on", "off"',
        "create the flag in the same apply, or take it out here",
    ]
    assert [problem.code for problem in findings.problems] == ["unknown_variant", "unknown_variant", "unknown_flag"]
    assert str(findings.problems[0]).startswith('flag/a: spec.off: there is no variant "of"')


def test_suggestions_are_bounded() -> None:
    """Near misses are looked for a bounded number of times; every problem is told all the same."""
    findings = Findings("flag/a")
    for _ in range(SUGGESTIONS_MAX + 1):
        findings.unknown("x", "flag", "chekout", ["checkout"])
    assert len(findings.problems) == SUGGESTIONS_MAX + 1
    assert findings.problems[-1].hint.startswith("create the flag")


def test_too_many_is_told_only_above_the_limit() -> None:
    """The limit itself is allowed."""
    findings = Findings("flag/a")
    findings.too_many("spec.rules", 256, 256, "rules", "use fewer")
    assert findings.problems == []
    findings.too_many("spec.rules", 257, 256, "rules", "use fewer")
    assert findings.problems[0].message == "at most 256 rules, these are 257"
