"""A script that lives for a second: `python report.py`, with ROLLOUT_SERVER and ROLLOUT_TOKEN set."""

from rollout_sdk import Client, Context

with Client.from_env() as client:
    client.wait_until_ready(timeout=1)  # a script has no second request: it waits a little for the rules
    rows = client.integer("page-limit", Context("nightly-report"), default=20)
    print(f"{rows} rows a page")
