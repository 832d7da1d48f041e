"""A recorded decision made again, as it would be made now."""

from dataclasses import dataclass, replace
from datetime import datetime

from routing.counterfactual import Counterfactual, counterfactual
from routing.engine.decide import decide
from routing.engine.escalation import Reports
from routing.engine.outcome import Candidate, Choice, Refusal
from routing.models import Decision, Policy
from routing.queries.live import as_rules, rules_in_force, table_for
from routing.queries.outcomes import failing_models
from routing.queries.policies import Change, changes_between, find_version, in_force
from routing.recorded import classification_of, request_of
from teams.models import Project


@dataclass(frozen=True)
class Rerun:
    """What would be decided now, and what is not as it was.

    `changes` are the settings that differ from the decision's policy version; None when that
    version is not known any more.
    """

    result: Choice | Refusal
    policy: Policy
    table_version: str | None
    changes: list[Change] | None
    same_table: bool
    same_model: bool

    @property
    def refusal(self) -> Refusal | None:
        """Why no model is left; None when one is."""
        return self.result if isinstance(self.result, Refusal) else None

    @property
    def choice(self) -> Choice | None:
        """The choice, None when no model is left."""
        return self.result if isinstance(self.result, Choice) else None

    def figures_of(self, model: str) -> Candidate | None:
        """Return a model's figures now, None when the table does not know it."""
        candidates = self.choice.candidates if self.choice else ()
        return next((one for one in candidates if one.model == model), None)


def policy_of(project: Project, decision: Decision) -> Policy | None:
    """Return the policy version that a decision was made under."""
    return find_version(project, decision.policy_version)


def proven(decision: Decision, policy: Policy | None) -> Counterfactual:
    """Return what a decision's record proves; `policy` is the version it was made under."""
    if policy is None:
        return Counterfactual()
    # Whatever the version's mode is, the decision names the one that held for its route.
    rules = replace(as_rules(policy), mode=decision.mode)
    return counterfactual(
        decision.evidence,
        rules,
        model=decision.model,
        reason=decision.reason_code,
        confidence=decision.confidence,
    )


def rerun(
    project: Project, decision: Decision, before: Policy | None, now: datetime
) -> Rerun | None:
    """Decide again from the recorded evidence, under the policy and the table in force.

    Nothing is recorded. The session is left aside, since what it remembered is not recorded.
    `before` is the decision's policy. None for a decision whose evidence does not tell what the
    request asked of a model.
    """
    request = request_of(decision.evidence)
    if request is None:
        return None
    found = in_force(project.pk)
    rules = rules_in_force(found)
    table = table_for(rules, project.team_id)
    failing = frozenset(one.model for one in failing_models(project.team_id, now))
    result = decide(
        request,
        classification_of(decision.evidence),
        rules,
        table,
        None,
        int(now.timestamp() * 1000),
        Reports(failing=failing),
    )
    version = table.version if table else None
    return Rerun(
        result=result,
        policy=found.policy,
        table_version=version,
        changes=None if before is None else changes_between(before, found.policy),
        same_table=(version or "") == decision.table_version,
        same_model=isinstance(result, Choice) and result.model == decision.model,
    )
