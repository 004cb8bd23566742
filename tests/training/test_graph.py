"""Changes to a graph: what is multiplied apart stays exact, and a product with one large channel survives int8."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from training import graph

CHANNELS = 32
ROWS = np.random.default_rng(1).normal(size=(64, CHANNELS)).astype(np.float32)  # (token, hidden)
MATRIX = np.random.default_rng(2).normal(size=(CHANNELS, 8)).astype(np.float32)
IDS = [[3, 1, 4, 1, 5, 9, 2, 6], [53, 58, 9, 7, 9, 3, 2, 3]]


def product(large: float = 1.0) -> ModelProto:
    """Ids are looked up and multiplied; channel 5 of the table is `large` times the others."""
    table = ROWS.copy()
    table[:, 5] *= large
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Gather", ["table", "input_ids"], ["hidden"]),
                helper.make_node("MatMul", ["hidden", "matrix"], ["logits"], name="product"),
            ],
            "product",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "token"])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "token", 8])],
            [numpy_helper.from_array(table, "table"), numpy_helper.from_array(MATRIX, "matrix")],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


def answers(model: ModelProto) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {"input_ids": np.array([ids])})[0] for ids in IDS])


def int8_error(model: ModelProto, folder: Path) -> float:
    exact = answers(model)
    onnx.save(model, folder / "fp32.onnx")
    quantize_dynamic(
        folder / "fp32.onnx",
        folder / "int8.onnx",
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=graph.outlier_nodes(model),
    )
    return float(np.abs(answers(onnx.load(folder / "int8.onnx")) - exact).mean())


def test_the_largest_magnitude_of_each_channel_is_found() -> None:
    largest = graph.largest_inputs(product(large=100.0), IDS)
    assert list(largest) == ["hidden"]
    read = np.abs(ROWS[[1, 2, 3, 4, 5, 6, 7, 9, 53, 58]]).max(axis=0)
    read[5] *= 100
    assert largest["hidden"] == pytest.approx(read)


def test_a_conditioned_product_gives_the_same_answers() -> None:
    model = product(large=100.0)
    exact = answers(model)
    conditioned = graph.condition(model, graph.largest_inputs(model, IDS))
    assert len(graph.outlier_nodes(conditioned)) == 1
    assert answers(conditioned) == pytest.approx(exact, rel=1e-4, abs=1e-4)


def test_a_large_channel_costs_a_conditioned_product_no_precision(tmp_path: Path) -> None:
    plain = int8_error(product(large=100.0), tmp_path)
    model = product(large=100.0)
    conditioned = int8_error(graph.condition(model, graph.largest_inputs(model, IDS)), tmp_path)
    assert plain > 0.5
    assert conditioned < 0.05


def test_a_weight_with_two_readers_is_left_alone() -> None:
    model = product()
    model.graph.node.append(helper.make_node("MatMul", ["hidden", "matrix"], ["again"]))
    assert graph.largest_inputs(model, IDS) == {}


def test_embedding_rows_are_a_quarter_of_the_size_and_within_a_127th() -> None:
    exact = answers(product())
    model = graph.shrink_embedding(product())
    rows = next(each for each in model.graph.initializer if each.name == "embedding_rows")
    assert (rows.data_type, list(rows.dims)) == (TensorProto.INT8, [64, CHANNELS])
    assert np.abs(answers(model) - exact).max() < 0.5
    assert np.abs(answers(model) - exact).max() > 0
