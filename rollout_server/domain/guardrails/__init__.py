"""The statistics of automatic rollback. PURE: sums of windows in, verdicts out; no clock, no store, no randomness."""
