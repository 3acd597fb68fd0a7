"""Is everything around flags and cohorts in order? Every problem at once, each with its place, and no exception.

Flags, cohorts and what SDKs see of rollouts are `rollout_sdk.engine.validate`'s.
"""

from rollout_server.domain.validation.environment import Scope, validate_resources

__all__ = ["Scope", "validate_resources"]
