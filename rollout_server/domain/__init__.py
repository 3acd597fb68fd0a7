"""PURE: resources, plans, the rollout machine and its statistics; no clock, no I/O."""
