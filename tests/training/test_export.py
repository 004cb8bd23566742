"""The export stage: from a folder that training saved to graphs that answer as the encoder does."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    FNetConfig,
    PreTrainedConfig,
    RobertaConfig,
)

from tests.training.tiny import SPECIAL, WORDS, encoder, uneven_rows
from training.export import ExportError, export, full_precision

PYTHON = os.environ.get("EXPORT_PYTHON", str(Path(__file__).parents[2] / ".venv-export" / "bin" / "python"))
"""The environment of requirements/export.txt: `make export-environment`."""

exports = pytest.mark.skipif(not Path(PYTHON).is_file(), reason="`make export-environment` makes what exports")

SIZES = {"vocab_size": len(SPECIAL) + len(WORDS), "num_labels": 3, "max_position_embeddings": 40}
LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
FAMILIES = {
    "bert": BertConfig(**SIZES, **LAYERS),
    "roberta": RobertaConfig(**SIZES, **LAYERS, pad_token_id=0),
    "distilbert": DistilBertConfig(**SIZES, dim=32, n_layers=2, n_heads=2, hidden_dim=64),
    "albert": AlbertConfig(**SIZES, **LAYERS, embedding_size=16),
}
IDS = [2, 4, 5, 6, 7, 9, 12, 3]


def trained(folder: Path, config: PreTrainedConfig) -> Path:
    """A folder as training saves it: safetensors, config and tokenizer."""
    encoder(folder)
    torch.manual_seed(3)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


def texts(folder: Path) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps({"text": row.text}) + "\n" for row in uneven_rows(12)))
    return path


def run(path: Path) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    logits: NDArray[np.float32] = session.run(["logits"], {"input_ids": np.array([IDS])})[0]
    return logits


@exports
@pytest.mark.parametrize("family", FAMILIES)
def test_the_graphs_answer_as_the_encoder_that_was_trained(tmp_path: Path, family: str) -> None:
    folder = trained(tmp_path / "encoder", FAMILIES[family])
    export(folder, tmp_path / "model.onnx", texts(tmp_path), PYTHON)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([IDS])).logits.numpy()
    assert run(full_precision(tmp_path / "model.onnx")) == pytest.approx(expected, abs=1e-4)
    assert run(tmp_path / "model.onnx") == pytest.approx(expected, abs=0.02)


@exports
def test_the_served_graph_takes_ids_alone_and_is_fused_and_int8(tmp_path: Path) -> None:
    folder = trained(tmp_path / "encoder", FAMILIES["bert"])
    export(folder, tmp_path / "model.onnx", texts(tmp_path), PYTHON)
    graph = onnx.load(tmp_path / "model.onnx").graph
    assert [each.name for each in graph.input] == ["input_ids"]
    assert [[size.dim_value for size in each.type.tensor_type.shape.dim] for each in graph.output] == [[1, 3]]
    kinds = {node.op_type for node in graph.node}
    assert {"QAttention", "BiasGelu", "LayerNormalization"} <= kinds
    assert kinds.isdisjoint({"SkipLayerNormalization", "Softmax", "Erf"})
    weights = {tuple(each.dims): each.data_type for each in graph.initializer}
    assert weights[(SIZES["vocab_size"], 32)] == weights[(32, 64)] == onnx.TensorProto.INT8


@exports
def test_a_family_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    config = FNetConfig(vocab_size=SIZES["vocab_size"], hidden_size=32, num_hidden_layers=1, intermediate_size=64)
    folder = trained(tmp_path / "encoder", config)
    with pytest.raises(ExportError, match="optimum exports no encoder of type 'fnet'; it knows albert"):
        export(folder, tmp_path / "model.onnx", texts(tmp_path), PYTHON)
    assert not (tmp_path / "model.onnx").exists()


def test_a_missing_environment_is_named_with_its_mend(tmp_path: Path) -> None:
    python = str(tmp_path / "python")
    with pytest.raises(ExportError, match=r"no Python at .*python; `make export-environment`"):
        export(tmp_path, tmp_path / "model.onnx", tmp_path / "train.jsonl", python)
