"""Small feeds on disk, for tests."""

import json
from pathlib import Path
from typing import Any

METADATA: dict[str, Any] = {
    "agent_name": "OpenHands",
    "agent_version": "v1.0.0",
    "model": "GPT-5.4",
    "supports_vision": True,
    "input_price": 2.5,
    "output_price": 15.0,
    "cache_read_price": 0.25,
    "cache_write_price": None,
    "available": True,
    "a_field_of_a_later_version": {"ignored": True},
}
SCORE: dict[str, Any] = {
    "benchmark": "swe-bench",
    "average_runtime": 529.5,
    "agent_version": "v1.14.0",
    "submission_time": "2026-03-23T23:35:12+00:00",
}
TASKS: dict[str, Any] = {
    "django-1": {"resolved": True, "cost": 0.25},
    "django-2": {"resolved": False, "cost": 1.2616480000000003},
    "django-3": {"resolved": None, "cost": None},
}


def write(path: Path, content: Any) -> None:
    """Write bytes as they are, and anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def make_feed(
    feed: Path,
    folder: str = "gpt",
    *,
    metadata: Any = None,
    scores: Any = None,
    **benchmarks: Any,
) -> Path:
    """Write one model's folder; benchmark names are given with ``_`` for ``-``. Returns `feed`."""
    home = feed / "results" / folder
    results = {name.replace("_", "-"): tasks for name, tasks in benchmarks.items()}
    results = results or {"swe-bench": TASKS}
    write(home / "metadata.json", METADATA if metadata is None else metadata)
    write(
        home / "scores.json",
        [{**SCORE, "benchmark": name} for name in results] if scores is None else scores,
    )
    for name, tasks in results.items():
        write(home / "instance_results" / f"{name}.json", tasks)
    return feed
