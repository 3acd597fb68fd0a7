"""The exact preview of a change."""

from dataclasses import replace

from rollout_sdk.engine.bucketing import salt16
from rollout_sdk.engine.model import Position
from rollout_server.domain.diff import Operation
from rollout_server.domain.journal import Change, State
from rollout_server.domain.machine import Phase, Run
from rollout_server.domain.plan import Plan, Wish, plan
from rollout_server.domain.resources import (
    FlagStatus,
    Kind,
    Metadata,
    Resource,
    ResourceId,
    RolloutStatus,
    TokenSpec,
    TokenStatus,
)
from rollout_server.domain.rollouts import PipelineSpec, Stage
from rollout_server.domain.ruleset import cohort_id, flag_id, ruleset_of
from tests import small_rollouts
from tests.small_state import EMPTY, applied, cohort_document, committed, document, flag_document, killed, wished

BETA = cohort_document("beta", "u-1", "u-2")
PARENT = flag_document("parent", {"id": "half", "split": {"on": "50%", "off": "50%"}})
CHILD = flag_document(
    "child",
    {"id": "beta", "when": {"cohort": "beta"}, "serve": "on"},
    requires=[{"flag": "parent", "variants": ["on"]}],
)
STRANGER = flag_document("stranger")
STATE = applied(EMPTY, BETA, PARENT, CHILD, STRANGER)
LOWER = flag_document("parent", {"id": "half", "split": {"on": "20%", "off": "80%"}})
HIGHER = flag_document("parent", {"id": "half", "split": {"on": "80%", "off": "20%"}})


def operations(made: Plan) -> dict[str, Operation]:
    return {str(change.id): change.operation for change in made.changes}


def codes(made: Plan) -> list[tuple[str, str, str]]:
    return [(problem.resource, problem.path, problem.code) for problem in made.problems]


def test_documents_create_update_and_leave_alone() -> None:
    """Each document's resource is told, what stays the same included; what no document holds is not touched."""
    made = wished(STATE, LOWER, BETA, flag_document("new"))
    assert operations(made) == {
        "cohort/beta": Operation.UNCHANGED,
        "flag/new": Operation.CREATE,
        "flag/parent": Operation.UPDATE,
    }
    parent = next(change for change in made.changes if change.id == flag_id("parent"))
    assert (parent.version_before, parent.version_after) == (1, 2)
    assert [field.path for field in parent.fields] == ["spec.rules[half].split.on", "spec.rules[half].split.off"]
    assert {change.id for change in made.writes} == {flag_id("new"), flag_id("parent")}


def test_applying_unchanged_documents_is_no_change_even_when_killed() -> None:
    """Spec is compared, status is kept: no entry would be written, and no kill is lifted."""
    state = killed(STATE, "parent")
    made = wished(state, BETA, PARENT, CHILD, STRANGER)
    assert made.writes == ()
    assert made.proof.proven
    status = wished(state, LOWER).after.resources[flag_id("parent")].status
    assert isinstance(status, FlagStatus)
    assert status.killed


def test_what_stays_is_the_same_object_on_both_sides() -> None:
    """Nothing that does not change is hashed, compiled or compared again."""
    before = ruleset_of(STATE)
    made = plan(STATE, Wish([LOWER, replace(CHILD, metadata=replace(CHILD.metadata, owner="mia"))]), before)
    assert made.rulesets[0] is before
    assert made.rulesets[1].cohorts["beta"] is before.cohorts["beta"]
    assert made.rulesets[1].flags["stranger"] is before.flags["stranger"]
    assert made.rulesets[1].flags["child"] is before.flags["child"]
    assert operations(made)["flag/child"] is Operation.UPDATE


def test_pruning_deletes_flags_and_cohorts_but_no_tokens() -> None:
    """Whatever people could have written and did not is deleted; what verbs made stays."""
    token = Resource(Kind.TOKEN, Metadata("t"), TokenSpec("h", "viewer", "mia", 0, 0), TokenStatus())
    state = committed(STATE, Change(token.id, token))
    made = wished(state, BETA, PARENT, CHILD, prune=True)
    assert operations(made)["flag/stranger"] is Operation.DELETE
    assert made.problems == ()
    assert token.id in made.after.resources
    assert [change.after for change in made.writes] == [None]


def test_deletions_can_be_named() -> None:
    """For a revert of what an entry created; what does not exist is passed over, and a document wins."""
    wish = Wish([PARENT], delete=frozenset({flag_id("stranger"), flag_id("gone"), flag_id("parent")}))
    made = plan(STATE, wish)
    assert operations(made) == {"flag/parent": Operation.UNCHANGED, "flag/stranger": Operation.DELETE}


def test_what_is_referred_to_cannot_be_deleted() -> None:
    """The problem is told of what would go, with who needs it."""
    made = wished(STATE, CHILD, STRANGER, prune=True)
    assert codes(made) == [("cohort/beta", "", "still_referenced"), ("flag/parent", "", "still_referenced")]
    assert "flag/child" in made.problems[0].message
    assert not made.proof.proven


def test_a_change_may_delete_what_it_stops_referring_to() -> None:
    """One transaction is enough to take a reference out and what it stood for away; who alone is left is told."""
    made = wished(STATE, flag_document("child"), PARENT, STRANGER, prune=True)
    assert made.problems == ()
    assert operations(made)["cohort/beta"] is Operation.DELETE
    (problem,) = wished(STATE, PARENT, CHILD, STRANGER, prune=True).problems
    assert problem.message == "it cannot be deleted while flag/child refers to it"


def test_a_new_document_that_names_what_goes_is_told_at_its_place() -> None:
    """Who edits the user sees the name that is unknown, in the own file."""
    edited = flag_document("child", {"id": "beta", "when": {"cohort": "beta"}, "serve": "on"})
    made = plan(STATE, Wish([edited, PARENT, STRANGER], prune=True, origins={edited.id: "flags.yaml:7:1"}))
    assert codes(made) == [
        ("flag/child", "spec.rules[0].when.cohort", "unknown_cohort"),
        ("cohort/beta", "", "still_referenced"),
    ]
    assert made.problems[0].origin == "flags.yaml:7:1"


def test_dependents_keep_their_references_valid() -> None:
    """Taking away a variant that another flag requires is refused, naming that flag."""
    parent = flag_document("parent", variants={"blue": True, "off": False}, default="blue")
    assert codes(wished(STATE, parent)) == [("flag/child", "spec.requires[0].variants[0]", "unknown_variant")]


def test_a_salt_is_settled_at_creation() -> None:
    """Made from the key or taken from the file; another one later is refused, none or the same is not."""

    def salt(made: Plan) -> str:
        status = made.after.resources[flag_id("f")].status
        assert isinstance(status, FlagStatus)
        return status.salt

    given = flag_document("f", salt="imported-salt-01")
    assert salt(wished(EMPTY, flag_document("f"))) == salt16("f")
    assert salt(wished(EMPTY, given)) == "imported-salt-01"
    state = applied(EMPTY, given)
    assert salt(wished(state, flag_document("f"))) == "imported-salt-01"
    assert wished(state, flag_document("f")).problems == ()
    assert codes(wished(state, flag_document("f", salt="another-salt-001"))) == [("flag/f", "spec.salt", "salt_change")]
    assert codes(wished(applied(EMPTY, flag_document("f")), flag_document("f", salt=salt16("f")))) == []


def test_a_resource_given_twice_is_a_problem() -> None:
    """Nobody has to know which of two documents wins."""
    assert codes(wished(STATE, LOWER, HIGHER)) == [("flag/parent", "", "twice")]


def test_dependents_are_told_with_reasons() -> None:
    """What a change touches without naming it, at any remove; what it names is not repeated."""
    assert [(str(one.id), one.because) for one in wished(STATE, LOWER).dependents] == [
        ("flag/child", "flag/child requires flag/parent")
    ]
    assert wished(STATE, LOWER, cohort_document("beta", "u-1")).flags == ("child", "parent")
    assert [str(one.id) for one in wished(STATE, cohort_document("beta", "u-1"), CHILD).dependents] == ["flag/child"]


def test_reads_are_all_that_the_plan_rests_on() -> None:
    """What changes, what depends on it, and what those look at; 0 for what does not exist; strangers are left out."""
    assert wished(STATE, LOWER).reads == {cohort_id("beta"): 1, flag_id("child"): 1, flag_id("parent"): 1}
    made = wished(STATE, flag_document("new", never=["gone"]), STRANGER)
    assert made.reads == {cohort_id("gone"): 0, flag_id("new"): 0, flag_id("stranger"): 1}


def test_a_plan_says_whether_it_shrinks() -> None:
    """By proof only, with a sentence for each flag that may grow."""
    assert wished(STATE, LOWER).proof.proven
    growth = wished(STATE, HIGHER).proof.growth
    assert [sentence.partition(":")[0] for sentence in growth] == ["flag/child", "flag/parent"]


def test_the_hash_is_that_of_the_change_and_its_ground() -> None:
    """The same question gives the same hash; another change, a moved ground or another history gives another one."""
    made = wished(STATE, LOWER)
    assert made.hash == wished(STATE, LOWER).hash
    assert len(made.hash) == 64
    assert made.hash != wished(STATE, HIGHER).hash
    elsewhere = applied(STATE, flag_document("stranger", {"id": "a", "serve": "on"}))
    assert made.hash == wished(elsewhere, LOWER).hash
    assert made.hash != wished(applied(STATE, cohort_document("beta", "u-1")), LOWER).hash
    assert made.hash != wished(killed(STATE, "child"), LOWER).hash
    restored = State(Position("epoch-2", STATE.position.revision), STATE.resources)
    assert made.hash != wished(restored, LOWER).hash


def test_the_plan_becomes_the_state() -> None:
    """Committing the writes leads to the state that was shown."""
    made = wished(STATE, LOWER, flag_document("new"))
    assert committed(STATE, *made.writes).resources == made.after.resources


def test_what_rollouts_stand_on_cannot_be_deleted() -> None:
    """A metric, a channel, a pipeline, a flag, a policy whose group is asked: each is told who needs it."""
    staged = {"name": "a", "share": "1%", "exit": {"approval": {"from": "managers"}}}
    told = [{"after": "0m", "notify": "team"}]
    state = applied(
        small_rollouts.STATE, small_rollouts.pipeline(staged, guardrails=small_rollouts.GUARDED, escalation=told)
    )
    for kind, key in [
        (Kind.METRIC, "errors"),
        (Kind.CHANNEL, "team"),
        (Kind.PIPELINE, "careful"),
        (Kind.FLAG, "checkout"),
        (Kind.ROLLOUT, "launch"),
    ]:
        id_ = ResourceId(kind, key)
        assert codes(plan(state, Wish([], delete=frozenset({id_})))) == [(str(id_), "", "still_referenced")]
    both = frozenset({ResourceId(Kind.FLAG, "checkout"), ResourceId(Kind.ROLLOUT, "launch")})
    assert codes(plan(state, Wish([], delete=both))) == []


def test_pruning_deletes_every_kind_that_people_write() -> None:
    """All of an environment goes with an empty wish."""
    made = plan(small_rollouts.STATE, Wish([], prune=True))
    assert made.problems == ()
    assert made.after.resources == {}
    assert made.rulesets[1].rollouts == {}


def test_a_change_of_what_decides_nothing_moves_nobody() -> None:
    """A metric or a pipeline has dependents, and no flag that could decide otherwise."""
    made = wished(small_rollouts.STATE, document("Metric", "errors", measures="proportion", late="1m"))
    assert "flag/checkout" in {str(one.id) for one in made.dependents}
    assert made.flags == ()
    assert made.proof.proven
    assert wished(small_rollouts.STATE, cohort_document("staff", "u-9")).flags == ()
    assert wished(small_rollouts.STATE, small_rollouts.rollout(never=["staff"])).flags == ("checkout",)


def test_a_rollouts_salt_is_settled_at_creation() -> None:
    """As a flag's."""
    assert codes(wished(small_rollouts.STATE, small_rollouts.rollout(salt="another-salt-001"))) == [
        ("rollout/launch", "spec.salt", "salt_change")
    ]


def test_policies_are_read_by_every_plan() -> None:
    """What they demand was checked against them as they stood."""
    made = wished(small_rollouts.STATE, cohort_document("another", "u-1"))
    assert ResourceId(Kind.POLICY, "people") in made.reads


def test_a_rollout_under_way_is_not_deleted() -> None:
    """Not even with its flag: whom it exposes would be forgotten."""
    resource = small_rollouts.STATE.resources[ResourceId(Kind.ROLLOUT, "launch")]
    assert isinstance(resource.status, RolloutStatus)
    run = Run("launch", "checkout", "off", "on", 1, PipelineSpec((Stage("a", 10_000),)), phase=Phase.PAUSED)
    for phase, found in [(Phase.PAUSED, [("rollout/launch", "", "under_way")]), (Phase.ROLLED_BACK, [])]:
        status = replace(resource.status, run=replace(run, phase=phase))
        state = committed(small_rollouts.STATE, Change(resource.id, replace(resource, status=status)))
        assert codes(plan(state, Wish([], prune=True))) == found
