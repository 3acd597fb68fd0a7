"""`python -m rollout_server` is `rollout`."""

import sys

from rollout_server.launcher import main

sys.exit(main())
