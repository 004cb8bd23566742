"""Export a fine-tuned encoder as the ONNX graph that is served: fused, int8, optimized once."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedConfig

OPSET = 17


class _Logits(torch.nn.Module):  # type: ignore[misc]  # torch is not in the environment that checks the types
    """The model with token ids alone as input: one text at its exact length has no padding to mask."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids).logits
        return logits


def export(encoder: Path, target: Path) -> None:
    """Write the safetensors folder `encoder` as int8 ONNX to `target`.

    Input `input_ids` int64 (1, token); output `logits` float32 (1, category). Weights are int8 per channel with a
    reduced range, so that 8-bit products cannot saturate on CPUs without VNNI and scores agree everywhere.
    """
    with tempfile.TemporaryDirectory() as folder:
        traced, fused, compact, quantized = (
            Path(folder) / f"{step}.onnx" for step in ("traced", "fused", "compact", "quantized")
        )
        _trace(encoder, traced)
        _fuse(traced, fused, AutoConfig.from_pretrained(encoder))
        onnx.save(_quantize_embedding(onnx.load(str(fused))), str(compact))
        quantize_dynamic(
            compact,
            quantized,
            op_types_to_quantize=["MatMul", "Attention", "Gemm"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": TensorProto.FLOAT},  # shape inference does not see through fused nodes
        )
        _optimize(quantized, target)


def _trace(encoder: Path, target: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(encoder, attn_implementation="eager").float().eval()
    with torch.inference_mode():
        torch.onnx.export(
            _Logits(model),
            (torch.randint(1000, 2000, (1, 16)),),
            str(target),
            input_names=["input_ids"],
            output_names=["logits"],
            dynamic_axes={"input_ids": {1: "token"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _fuse(source: Path, target: Path, shape: PreTrainedConfig) -> None:
    """Fuse GELU and layer normalization; Add + LayerNormalization is faster on CPU than SkipLayerNormalization."""
    config = FusionOptions("bert")
    config.enable_skip_layer_norm = False
    config.enable_embed_layer_norm = False
    fused = optimize_model(
        str(source),
        model_type="bert",
        num_heads=shape.num_attention_heads,
        hidden_size=shape.hidden_size,
        optimization_options=config,
        opt_level=0,
    )
    fused.save_model_to_file(str(target))


def _quantize_embedding(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep the word embedding as int8 rows, each with its own scale, read after the look-up: a quarter of the size."""
    graph = model.graph
    tables = {table.name: table for table in graph.initializer}
    gather = max(
        (node for node in graph.node if node.op_type == "Gather" and node.input[0] in tables),
        key=lambda node: np.prod(tables[node.input[0]].dims),
    )
    table = numpy_helper.to_array(tables[gather.input[0]]).astype(np.float32)  # (token, hidden)
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / 127, 1e-12).astype(np.float32)  # (token, 1)
    rows = np.round(table / scale).astype(np.int8)
    graph.initializer.remove(tables[gather.input[0]])
    graph.initializer.extend(
        [numpy_helper.from_array(rows, "embedding_rows"), numpy_helper.from_array(scale, "embedding_scale")]
    )
    nodes = [
        helper.make_node("Gather", ["embedding_rows", gather.input[1]], ["embedding_row"]),
        helper.make_node("Gather", ["embedding_scale", gather.input[1]], ["embedding_row_scale"]),
        helper.make_node("Cast", ["embedding_row"], ["embedding_row_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["embedding_row_float", "embedding_row_scale"], list(gather.output)),
    ]
    position = list(graph.node).index(gather)
    graph.node.remove(gather)
    for offset, node in enumerate(nodes):
        graph.node.insert(position + offset, node)
    del graph.value_info[:]
    return model


def _optimize(source: Path, target: Path) -> None:
    """Let onnxruntime optimize once, here, and not at every cold start."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(
        str(source),
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=["SkipLayerNormFusion", "EmbedLayerNormFusion"],
    )
