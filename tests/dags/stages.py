"""Stands in for Python in the training environment: `stages.py -m training.MODULE [STAGE]`, files in and files out.

It notes what it was asked for and what it found in ML_ROOT, and leaves what the real stage would, with what the file
`says.json` beside the run's folders says.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(os.environ["ML_ROOT"])
SAYS: dict[str, Any] = json.loads((ROOT.parents[2] / "says.json").read_text())


def leave(path: str, content: object) -> None:
    """Write a JSON file under ML_ROOT."""
    file = ROOT / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


if __name__ == "__main__":
    found = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file())
    name = sys.argv[-1].removeprefix("training.")
    leave("asked.json", {"command": sys.argv[1:], "found": found})
    if name == "prepare":
        leave("processing/output/dataset/dataset.json", {})
        leave("processing/output/summary/summary.json", SAYS["summary"])
    elif name == "launcher":
        leave("model/manifest.json", {})
    else:
        leave("processing/output/evaluation/evaluation.json", SAYS["evaluation"])
        leave("processing/output/evaluation/comparison.json", {})
