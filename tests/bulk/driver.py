"""A bulk job's driver as a process of its own, with an engine double: python -m tests.bulk.driver …."""

import json
import sys
from functools import partial
from typing import Any

from serve_app.bulk.command import run_bulk
from serve_app.settings import load_settings
from tests.bulk.engines import NotingEngine


def main(manifest: str, out: str, log: str, latency: str, options: str) -> int:
    given: dict[str, Any] = {
        "task": "markdown",
        "prompt": None,
        "crop": True,
        "dpi": 72,
        **json.loads(options),
    }
    settings = load_settings(
        {
            "model": {"engine": "embedded"},
            "bulk": {"group_pages": 8, "pages_in_flight": 8, "flush_s": 0.5, "progress_s": 1},
        }
    )
    strict = given.pop("strict", False)
    create = partial(NotingEngine, log, float(latency))
    return run_bulk(manifest, out, settings, given, strict=strict, create=create)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
