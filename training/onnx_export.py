"""The steps of an export by optimum: trace, fuse, read the first token only, condition, quantize, optimize once."""

import json
import random
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantFormat, QuantizationMode, QuantType
from optimum.exporters.onnx import onnx_export_from_model
from optimum.exporters.tasks import TasksManager
from optimum.onnxruntime import ORTOptimizer, ORTQuantizer
from optimum.onnxruntime.configuration import OptimizationConfig, QuantizationConfig
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, PretrainedConfig, PreTrainedModel

from moderato.text import normalize
from training import graph
from training.export import ExportError

TASK = "text-classification"
CALIBRATION_TEXTS = 200
MAX_TOKENS = 128

CHECKED_LENGTHS = (3, 17, 28)
LARGEST_DIFFERENCE = 1e-3
"""Between the logits of torch and of the fused fp32 graph; rounding makes some 1e-6."""


def write_graphs(encoder: Path, target: Path, full: Path, texts: Path) -> None:
    """Write the encoder as the int8 graph `target` and the fp32 graph `full`, both optimized for onnxruntime on CPUs.

    Weights are int8 per channel with a reduced range, so that 8-bit products cannot saturate on CPUs without VNNI and
    scores agree everywhere. Raises ExportError when the encoder's family cannot be exported, or not faithfully.
    """
    model = _load(encoder)
    with tempfile.TemporaryDirectory() as folder:
        traced, fused, ready = (Path(folder) / step for step in ("traced", "fused", "ready"))
        _trace(model, traced)
        _fuse(traced, fused)
        short = graph.read_first_token_only(onnx.load(fused / "model.onnx"))
        onnx.save(short, fused / "model.onnx")
        _optimize(fused / "model.onnx", full)
        _compare(model, full)
        largest = graph.largest_inputs(short, _token_ids(encoder, texts, model.config))
        conditioned = graph.shrink_embedding(graph.condition(short, largest))
        onnx.save(graph.declare_types(conditioned), fused / "model.onnx")
        _quantize(fused, ready)
        _optimize(ready / "model.onnx", target)


def _load(encoder: Path) -> PreTrainedModel:
    # Attention written out ("eager") is the form that onnxruntime knows how to fuse. No file but safetensors is read.
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder, attn_implementation="eager", local_files_only=True, use_safetensors=True
    )
    return model.float().eval()


def _trace(model: PreTrainedModel, folder: Path) -> None:
    """One text at its exact length has no padding to mask: token ids are the only input, the rest is baked in."""
    kind = model.config.model_type
    known = TasksManager.get_supported_model_type_for_task(TASK, "onnx")
    if kind not in known:
        raise ExportError(f"optimum exports no encoder of type {kind!r}; it knows {', '.join(sorted(known))}")
    make_config = TasksManager.get_exporter_config_constructor(
        "onnx", model_type=kind, task=TASK, library_name="transformers"
    ).func

    class IdsOnly(make_config):  # type: ignore[misc, valid-type]  # the family's class is only known now
        inputs: Mapping[str, Mapping[int, str]] = {"input_ids": {1: "token"}}
        outputs: Mapping[str, Mapping[int, str]] = {"logits": {}}

    onnx_export_from_model(
        model,
        folder,
        task=TASK,
        custom_onnx_configs={"model": IdsOnly(model.config, task=TASK)},
        do_validation=False,  # `_compare` does, at several lengths
        batch_size=1,
        sequence_length=16,
    )


def _fuse(source: Path, target: Path) -> None:
    """Fuse attention, GELU and layer normalization; a family that optimum cannot fuse stays as it was traced.

    Add + LayerNormalization is faster on CPUs than SkipLayerNormalization.
    """
    settings = OptimizationConfig(
        optimization_level=0, disable_skip_layer_norm_fusion=True, disable_embed_layer_norm_fusion=True
    )
    try:
        ORTOptimizer.from_pretrained(source).optimize(settings, save_dir=target, file_suffix=None)
    except (KeyError, NotImplementedError):
        shutil.copytree(source, target, dirs_exist_ok=True)


def _compare(model: PreTrainedModel, path: Path) -> None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for length in CHECKED_LENGTHS:
        ids = torch.arange(length).add(5).remainder(model.config.vocab_size).unsqueeze(0)  # (1, token)
        with torch.inference_mode():
            expected = model(input_ids=ids).logits.numpy()
        found = session.run(None, {"input_ids": ids.numpy()})[0]
        difference = float(np.abs(found - expected).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise ExportError(
                f"an encoder of type {model.config.model_type!r} is not itself as ONNX: at {length} tokens the largest "
                f"logit differs by {difference:.4f}, at most {LARGEST_DIFFERENCE} is allowed"
            )


def _token_ids(encoder: Path, texts: Path, config: PretrainedConfig) -> list[list[int]]:
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(min(MAX_TOKENS, getattr(config, "max_position_embeddings", MAX_TOKENS) - 2))
    lines = [line for line in texts.read_text(encoding="utf-8").split("\n") if line]
    chosen = random.Random(0).sample(lines, min(CALIBRATION_TEXTS, len(lines)))
    return [tokenizer.encode(normalize(json.loads(line)["text"]).text).ids for line in chosen]


def _quantize(source: Path, target: Path) -> None:
    settings = QuantizationConfig(
        is_static=False,
        format=QuantFormat.QOperator,
        mode=QuantizationMode.IntegerOps,
        activations_dtype=QuantType.QUInt8,
        weights_dtype=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        operators_to_quantize=list(graph.QUANTIZED),
        nodes_to_exclude=graph.outlier_nodes(onnx.load(source / "model.onnx")),
    )
    ORTQuantizer.from_pretrained(source).quantize(settings, save_dir=target, file_suffix=None)


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
