"""What holds for every test."""

from hypothesis import settings

# No test asserts a time: a busy machine is not a bug.
settings.register_profile("house", deadline=None)
settings.load_profile("house")
