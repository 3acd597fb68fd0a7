"""The one evaluator: pure, total, without I/O and without a clock.

Server and SDK decide with this code, so a preview cannot disagree with a client.
"""
