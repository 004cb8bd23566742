"""Changes to an ONNX graph that make it small, fast and faithful in int8, and that optimum has no step for."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

QUANTIZED = ("MatMul", "Attention", "Gemm")

OUTLIERS = 4
"""Input channels of a product that stay fp32. On the starter model 4 took two thirds off int8's error, 16 no more."""

_OUTLIER_NODE = "outliers_"

Floats = NDArray[np.float32]


def read_first_token_only(model: ModelProto) -> ModelProto:
    """Drop every row but the first after the last attention, where the classifier reads no other. Exact.

    The last layer's feed-forward then reads one token; a model that is built otherwise stays as it is.
    """
    nodes = list(model.graph.node)
    attentions = [node for node in nodes if node.op_type == "Attention"]
    if not attentions or not _classifies_by_first_token(model):
        return model
    last = attentions[-1]
    after = nodes[nodes.index(last) + 1 :]
    one, zero = "first_token_end", "first_token_start"
    model.graph.initializer.extend([_tensor(np.array([1], np.int64), one), _tensor(np.array([0], np.int64), zero)])
    for name in (last.output[0], last.input[0]):  # the attention's answer, and the residual that is added to it
        first = f"{name}_first_token"
        for node in after:
            node.input[:] = [first if each == name else each for each in node.input]
        model.graph.node.insert(nodes.index(last) + 1, helper.make_node("Slice", [name, zero, one, one], [first]))
    del model.graph.value_info[:]
    return model


def largest_inputs(model: ModelProto, texts: Sequence[Sequence[int]]) -> dict[str, Floats]:
    """For each product with a weight, by its input's name: the largest magnitude of each channel over the texts."""
    weights = _weights(model)
    names = sorted({node.input[0] for node in model.graph.node if _has_own_weight(node, model, weights)})
    if not names:  # asked for no output, onnxruntime would give all
        return {}
    open_model = ModelProto()
    open_model.CopyFrom(model)
    open_model.graph.output.extend([helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(open_model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    largest: dict[str, Floats] = {}
    for ids in texts:
        values = session.run(names, {"input_ids": np.array([ids], dtype=np.int64)})
        for name, value in zip(names, values, strict=True):
            here = np.abs(value).reshape(-1, value.shape[-1]).max(axis=0)  # (channel,)
            largest[name] = np.maximum(largest.get(name, here), here)
    return largest


def condition(model: ModelProto, largest: Mapping[str, Floats]) -> ModelProto:
    """Rewrite each product so that 8 bits are enough for its input; in fp32 the answers stay the same.

    An activation has one scale a tensor, so one channel of 25 leaves a channel of 0.1 four steps. Therefore the largest
    channels are multiplied apart, in fp32 (LLM.int8(), Dettmers et al. 2022), and the others are brought nearer to each
    other, with the weights scaled the other way (SmoothQuant, Xiao et al. 2023, section 4, without the weights' share).
    """
    weights = _weights(model)
    # From the last to the first, so that the places of those to come stay right.
    for place, node in reversed(list(enumerate(model.graph.node))):
        if node.input and node.input[0] in largest and _has_own_weight(node, model, weights):
            added = _condition(node, weights[node.input[1]], largest[node.input[0]], str(place), model)
            for offset, new in enumerate(added):
                model.graph.node.insert(place + offset, new)
    del model.graph.value_info[:]
    return model


def outlier_nodes(model: ModelProto) -> list[str]:
    """The products that `condition` keeps in fp32, by name."""
    return [node.name for node in model.graph.node if node.name.startswith(_OUTLIER_NODE)]


def shrink_embedding(model: ModelProto) -> ModelProto:
    """Keep the word embedding as int8 rows, each with its own scale, read after the look-up: a quarter of the size."""
    graph, weights = model.graph, _weights(model)
    gather = max(
        (node for node in graph.node if node.op_type == "Gather" and node.input[0] in weights),
        key=lambda node: (node.input[1] == "input_ids", int(np.prod(weights[node.input[0]].dims))),
    )
    table = numpy_helper.to_array(weights[gather.input[0]]).astype(np.float32)  # (token, hidden)
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)  # (token, 1)
    graph.initializer.remove(weights[gather.input[0]])
    graph.initializer.extend(
        [_tensor(np.round(table / scale).astype(np.int8), "embedding_rows"), _tensor(scale, "embedding_scale")]
    )
    place = list(graph.node).index(gather)
    graph.node.remove(gather)
    for node in (
        helper.make_node("Mul", ["embedding_row_float", "embedding_row_scale"], list(gather.output)),
        helper.make_node("Cast", ["embedding_row"], ["embedding_row_float"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["embedding_scale", gather.input[1]], ["embedding_row_scale"]),
        helper.make_node("Gather", ["embedding_rows", gather.input[1]], ["embedding_row"]),
    ):
        graph.node.insert(place, node)
    del graph.value_info[:]
    return model


def declare_types(model: ModelProto) -> ModelProto:
    """Say that products read and give floats: shape inference does not see through fused nodes, and quantizing asks."""
    products = [node for node in model.graph.node if node.op_type in QUANTIZED]
    ends = {output.name for output in model.graph.output}
    names = {name for node in products for name in (node.input[0], node.output[0])} - ends
    model.graph.value_info.extend(
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(names)]
    )
    return model


def _classifies_by_first_token(model: ModelProto) -> bool:
    """Whether the last layer's output has one reader, which gathers its token 0."""
    norms = [node for node in model.graph.node if node.op_type == "LayerNormalization"]
    constants = {node.output[0]: node.attribute[0].t for node in model.graph.node if node.op_type == "Constant"}
    constants |= _weights(model)
    readers = [node for node in model.graph.node if norms and norms[-1].output[0] in node.input]
    if len(readers) != 1 or readers[0].op_type != "Gather" or readers[0].input[1] not in constants:
        return False
    axis = next((attribute.i for attribute in readers[0].attribute if attribute.name == "axis"), 0)
    index = numpy_helper.to_array(constants[readers[0].input[1]])
    return axis == 1 and index.shape == () and int(index) == 0


def _has_own_weight(node: NodeProto, model: ModelProto, weights: Mapping[str, TensorProto]) -> bool:
    """Whether it is a product with a matrix that no other node reads: ALBERT's layers share theirs."""
    if node.op_type not in ("MatMul", "Attention") or node.input[1] not in weights:
        return False
    readers = Counter(name for each in model.graph.node for name in each.input)
    return len(weights[node.input[1]].dims) == 2 and readers[node.input[1]] == 1


def _condition(node: NodeProto, weight: TensorProto, largest: Floats, key: str, model: ModelProto) -> list[NodeProto]:
    """Change one product in place; return the nodes to put before it."""
    matrix = numpy_helper.to_array(weight)  # (input channel, output channel)
    # Attention multiplies and attends in one node: nothing can be added in between.
    count = OUTLIERS if node.op_type == "MatMul" and len(largest) > 4 * OUTLIERS else 0
    outliers = np.sort(np.argsort(-largest, kind="stable")[:count])
    is_outlier = np.isin(np.arange(len(largest)), outliers)
    scale = np.sqrt(np.maximum(largest, 1e-4))
    scale = (scale / np.exp(np.log(scale[~is_outlier]).mean())).astype(np.float32)
    shrink = np.where(is_outlier, 0, 1 / scale).astype(np.float32)
    rest = np.where(is_outlier[:, None], 0, matrix * scale[:, None]).astype(np.float32)
    source, target = node.input[0], node.output[0]
    shrunk = f"shrunk_{key}"
    added = [helper.make_node("Mul", [source, f"{shrunk}_by"], [shrunk])]
    model.graph.initializer.append(_tensor(shrink, f"{shrunk}_by"))
    weight.CopyFrom(_tensor(rest, weight.name))
    node.input[0] = shrunk
    if count:
        added += _multiply_apart(source, outliers, matrix, key, model)
        node.output[0] = f"{target}_rest"
        after = list(model.graph.node).index(node) + 1
        both = helper.make_node("Add", [node.output[0], f"{_OUTLIER_NODE}{key}_product"], [target])
        model.graph.node.insert(after, both)
    return added


def _multiply_apart(
    source: str, outliers: NDArray[np.int64], matrix: Floats, key: str, model: ModelProto
) -> list[NodeProto]:
    name = f"{_OUTLIER_NODE}{key}"
    model.graph.initializer.extend(
        [_tensor(outliers.astype(np.int64), f"{name}_channels"), _tensor(matrix[outliers].copy(), f"{name}_weight")]
    )
    return [
        helper.make_node("Gather", [source, f"{name}_channels"], [f"{name}_input"], axis=-1),
        helper.make_node("MatMul", [f"{name}_input", f"{name}_weight"], [f"{name}_product"], name=name),
    ]


def _weights(model: ModelProto) -> dict[str, TensorProto]:
    return {weight.name: weight for weight in model.graph.initializer}


def _tensor(values: NDArray[np.generic], name: str) -> TensorProto:
    tensor: TensorProto = numpy_helper.from_array(values, name)
    return tensor
