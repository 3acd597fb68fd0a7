"""A process with counters that Prometheus scrapes. Run as a file; each line on stdin is a JSON list of counts.

    {"name": "errors_total", "labels": {"arm": "candidate"}, "by": 3}     `by` null makes it NaN

Each line is answered with a line on stdout, the first of which is the port.
"""

from __future__ import annotations

import json
import math
import sys

from prometheus_client import CollectorRegistry, Counter, start_http_server


def main() -> None:
    registry = CollectorRegistry()
    counters: dict[str, Counter] = {}
    server, _ = start_http_server(int(sys.argv[1]), "127.0.0.1", registry)
    print(server.server_port, flush=True)  # noqa: T201 - stdout is how it is spoken to
    for line in sys.stdin:
        for count in json.loads(line):
            name, labels = count["name"], count["labels"]
            if name not in counters:
                counters[name] = Counter(name, "counts", sorted(labels), registry=registry)
            counter = counters[name].labels(**labels) if labels else counters[name]
            counter.inc(math.nan if count["by"] is None else count["by"])
        print("counted", flush=True)  # noqa: T201 - the same


if __name__ == "__main__":
    main()
