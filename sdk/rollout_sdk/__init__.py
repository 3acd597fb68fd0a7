"""Rollout Guard in the caller's process."""
