"""Random halves of results in the OpenHands Index layout: one to publish from, one to judge by."""

import json
import random
import shutil
from pathlib import Path
from typing import Final

TRAIN: Final = "train"
TEST: Final = "test"


def split_results(path: Path, seed: int, into: Path) -> tuple[Path, Path]:
    """Write half of every benchmark's tasks to ``into/train``, the other half to ``into/test``.

    A task goes to one side with all its results. The same seed always gives the same halves.
    Raises OSError or ValueError when the folder is not in that layout.
    """
    root = path / "results" if (path / "results").is_dir() else path
    files = sorted(root.glob("*/instance_results/*.json"))
    if not files:
        raise ValueError(f"{path} holds no results/<model>/instance_results/<benchmark>.json.")
    rows = {file: json.loads(file.read_text(encoding="utf-8")) for file in files}
    tasks: dict[str, set[str]] = {}
    for file, found in rows.items():
        tasks.setdefault(file.stem, set()).update(found)
    train: dict[str, set[str]] = {}
    for benchmark, names in sorted(tasks.items()):
        ordered = sorted(names)
        random.Random(f"{seed} {benchmark}").shuffle(ordered)  # noqa: S311
        train[benchmark] = set(ordered[: len(ordered) // 2])
    for side in (TRAIN, TEST):
        for file, found in rows.items():
            kept = {
                task: row
                for task, row in found.items()
                if (task in train[file.stem]) == (side == TRAIN)
            }
            if not kept:
                continue
            folder = into / side / "results" / file.parent.parent.name
            (folder / "instance_results").mkdir(parents=True, exist_ok=True)
            (folder / "instance_results" / file.name).write_text(json.dumps(kept), encoding="utf-8")
            for name in ("metadata.json", "scores.json"):
                if (file.parent.parent / name).exists():
                    shutil.copy(file.parent.parent / name, folder / name)
    return into / TRAIN, into / TEST
