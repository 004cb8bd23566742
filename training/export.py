"""Export a fine-tuned encoder as ONNX by optimum, in an environment of its own: `PYTHON -m training.export --help`.

optimum's ONNX exporter needs an older transformers than training; the two meet in the safetensors folder. So training
imports nothing here but `export`, which starts this module with the other environment's Python.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]


class ExportError(ValueError):
    """An encoder cannot be exported; the message says which, why, and what would be right."""


def export(encoder: Path, target: Path, texts: Path, python: str) -> None:
    """Write the safetensors folder `encoder` as the int8 graph `target`, and in full precision beside it.

    Input `input_ids` int64 (1, token); output `logits` float32 (1, category). `texts` is the dataset's train.jsonl:
    some of its texts show which activations are large. `python` belongs to the environment of requirements/export.txt.

    Raises ExportError with the stage's own last line when it fails.
    """
    command = [python, "-m", "training.export", str(encoder), str(target), str(texts)]
    # Our own two roots and no more: this environment's packages must not be found by the other one.
    environment = {**os.environ, "PYTHONPATH": f"{_ROOT / 'functions'}{os.pathsep}{_ROOT}"}
    try:
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, env=environment)
    except OSError:
        raise ExportError(f"no Python at {python}; `make export-environment` makes the one that exports") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
        raise ExportError(lines[-1].removeprefix("export: "))


def full_precision(target: Path) -> Path:
    """Where the same graph in fp32 goes: what the int8 one is compared with."""
    return target.with_name(f"{target.stem}.fp32{target.suffix}")


def main() -> None:
    """Run the stage in this environment; what a person can mend is one sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m training.export", description="Export an encoder as ONNX.")
    parser.add_argument("encoder", type=Path, help="a safetensors folder with config.json and tokenizer.json")
    parser.add_argument("target", type=Path, help="the int8 graph to write; MODEL.fp32.onnx goes beside it")
    parser.add_argument("texts", type=Path, help="train.jsonl of the dataset")
    arguments = parser.parse_args()
    # Here and not above: training imports this module where there is no optimum.
    from training.onnx_export import write_graphs

    try:
        write_graphs(arguments.encoder, arguments.target, full_precision(arguments.target), arguments.texts)
    except ExportError as error:
        sys.exit(f"export: {error}")


if __name__ == "__main__":
    # As `training.export`, not as `__main__`: there must be one ExportError.
    from training.export import main as run

    run()
