"""The service: journal, rollout machine, guardrails, and every road into and out of them."""
