"""Order something: `python order.py user-42 7`. The worker goes on in the scope of this sender."""

import sys

from tasks import client, ship

from rollout_sdk import Context

user, order = sys.argv[1], int(sys.argv[2])
client.wait_until_ready(timeout=5)
with client.scope(Context(user)) as scope:
    print("one click" if scope.enabled("checkout-v2") else "three steps")
    ship.delay(order)
client.close()
