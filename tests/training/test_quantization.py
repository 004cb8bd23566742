"""What int8 costs: two graphs side by side, and one under a runner."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from moderato.artifact import Calibration, Category, write_manifest
from tests.training.made import HARM, KIND, STARTER, manifest, recipe
from training.dataset import Row
from training.quantization import Comparison, Cost, Difference, QuantizationError, compare


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The starter's graph, each category to be reviewed from one half."""
    directory = tmp_path / "model"
    directory.mkdir()
    for name in ("model.onnx", "tokenizer.json"):
        shutil.copyfile(STARTER / name, directory / name)
    categories = tuple(Category(name, 0.5, None, Calibration(1.0, 0.0)) for name in HARM)
    write_manifest(directory, msgspec.structs.replace(manifest(recipe(categories=HARM)), categories=categories))
    return directory


def rows(texts: Sequence[str]) -> list[Row]:
    return [Row(str(n), text, dict.fromkeys(HARM, 0.0), "made", "test", True) for n, text in enumerate(texts)]


def shifted(model: Path, by: float) -> Path:
    """The model's graph with the first category's logit moved."""
    graph = onnx.load(model / "model.onnx")
    shift = np.array([by, 0, 0, 0, 0, 0], dtype=np.float32)
    last = next(node for node in graph.graph.node if "logits" in node.output)
    last.output[0] = "unmoved"
    graph.graph.initializer.append(numpy_helper.from_array(shift, "shift"))
    graph.graph.node.append(helper.make_node("Add", ["unmoved", "shift"], ["logits"]))
    onnx.save(graph, model.parent / "shifted.onnx")
    return model.parent / "shifted.onnx"


def test_a_graph_costs_nothing_against_itself(model: Path) -> None:
    found = compare(model, model / "model.onnx", rows(KIND))
    assert found.precision == Difference(mean=0.0, p99=0.0, largest=0.0, changed=0)
    assert found.int8.bytes == (model / "model.onnx").stat().st_size
    assert found.kinds is None
    assert found.missed() == []


def test_decisions_that_change_are_counted(model: Path) -> None:
    found = compare(model, shifted(model, 20.0), rows(KIND))
    assert found.precision.changed == 3
    assert found.precision.largest > 0.9
    assert found.precision.mean == pytest.approx(found.precision.largest / 6, abs=0.02)
    assert found.missed() == ["share of decisions that change is 1.00000, at most 0.006 is wanted"]


def test_a_runner_reads_the_same_texts_again(model: Path) -> None:
    found = compare(model, model / "model.onnx", rows(KIND), runner="env LANG=C")
    assert found.kinds == Difference(mean=0.0, p99=0.0, largest=0.0, changed=0)


def test_a_runner_that_is_not_there_is_named(model: Path) -> None:
    with pytest.raises(QuantizationError, match="no command 'no-such-runner'"):
        compare(model, model / "model.onnx", rows(KIND), runner="no-such-runner -cpu Haswell")


def test_a_runner_that_fails_is_named(model: Path) -> None:
    with pytest.raises(QuantizationError, match="'false' could not run the scorer: it ended with 1"):
        compare(model, model / "model.onnx", rows(KIND), runner="false")


def test_each_missed_target_is_a_sentence_and_each_reading_a_row() -> None:
    cost = Cost(bytes=24_000_000, median_milliseconds=2.5, p95_milliseconds=9.0)
    found = Comparison(
        model="made",
        version="1.0.0",
        texts=500,
        roc_auc_fp32=0.985,
        roc_auc_int8=0.982,
        fp32=cost,
        int8=cost,
        precision=Difference(mean=0.001, p99=0.01, largest=0.05, changed=3),
        runner="qemu",
        kinds=Difference(mean=0.0006, p99=0.01, largest=0.02, changed=1),
    )
    assert found.missed() == [
        "mean ROC AUC falls by 0.00300, at most 0.002 is wanted",
        "mean difference under qemu is 0.00060, at most 0.0005 is wanted",
    ]
    assert found.table().rows == (
        ("fp32", 24.0, 2.5, 9.0, 0.985, None, None, None, None),
        ("int8", 24.0, 2.5, 9.0, 0.982, 0.001, 0.01, 0.05, "3 (0.60%)"),
        ("int8 under qemu, against int8", None, None, None, None, 0.0006, 0.01, 0.02, "1 (0.20%)"),
    )
