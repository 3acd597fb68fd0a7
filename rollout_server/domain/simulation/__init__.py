"""A run in compressed time: simulated users, the real machine and the real statistics (docs/planning.md).

`replay` is what `rollout simulate` shows; `outcomes` makes the sums that processes would report, `chance` their luck.
"""
