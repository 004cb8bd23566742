"""Training goes on from a served model: its int8 graph, turned back into an encoder that transformers can train."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from moderato.scorer import Scorer
from training.config import RecipeError

LARGEST_DIFFERENCE = 0.4
"""Between the logits of the served graph and of the encoder made from it, over golden texts and categories."""

LARGEST_MEAN_DIFFERENCE = 0.05
"""The served graph also rounds what flows between its layers to 8 bits: 0.016 and at most 0.13 on the starter model."""

_SPECIAL_TOKENS = {
    "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
}  # fmt: skip
_DENSE = ("attention.output.dense", "intermediate.dense", "output.dense")
_LAYER = ("QAttention", *["DynamicQuantizeMatMul"] * len(_DENSE))
_HEAD = ("bert.pooler.dense", "classifier")

Array = NDArray[np.generic]
Floats = NDArray[np.float32]
Weights = dict[str, Floats]


@dataclass(frozen=True)
class Fidelity:
    """How far the logits of the encoder are from the served graph's over so many texts."""

    texts: int
    mean: float
    largest: float


def continue_from(model: Path, folder: Path) -> Fidelity:
    """Write an encoder made from a model directory to `folder`: safetensors, configuration and tokenizer.

    Raises RecipeError when the model is not of BERT's build, or the encoder does not answer as the model does, and
    BrokenModel when the model directory is not whole.
    """
    scorer = Scorer.load(model)
    graph = _Graph(onnx.load(model / "model.onnx"), model)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    tensors = {name: torch.from_numpy(np.array(values, np.float32)) for name, values in graph.weights().items()}
    save_file(tensors, part / "model.safetensors", metadata={"format": "pt"})
    graph.config(scorer.manifest.category_names).save_pretrained(part)
    _tokenizer(model, graph.positions).save_pretrained(part)
    fidelity = compare(model, part, scorer)
    if not (fidelity.largest <= LARGEST_DIFFERENCE and fidelity.mean <= LARGEST_MEAN_DIFFERENCE):
        raise RecipeError(
            f"the encoder made from {model} does not answer as it does: over {fidelity.texts} golden texts logits "
            f"differ by {fidelity.mean:.3f} on average and {fidelity.largest:.3f} at most; "
            f"{LARGEST_MEAN_DIFFERENCE} and {LARGEST_DIFFERENCE} are allowed"
        )
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    return fidelity


def compare(model: Path, encoder: Path, scorer: Scorer) -> Fidelity:
    """Read the golden texts of the model directory with its scorer and, window for window, with the encoder."""
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    network = BertForSequenceClassification.from_pretrained(encoder, local_files_only=True, use_safetensors=True)
    other = Scorer(scorer.manifest, _TorchSession(network.float().eval()), tokenizer)
    lines = (model / "golden.jsonl").read_text(encoding="utf-8").split("\n")
    texts = [json.loads(line)["text"] for line in lines if line]
    gaps = np.abs(np.array([np.subtract(scorer.pooled(text), other.pooled(text)) for text in texts]))
    return Fidelity(len(texts), float(gaps.mean()), float(gaps.max()))


class _TorchSession:
    """An encoder that is asked as the scorer asks onnxruntime."""

    def __init__(self, network: BertForSequenceClassification) -> None:
        self._network = network

    def run(self, _: None, inputs: Mapping[str, NDArray[np.int64]]) -> list[Floats]:
        with torch.inference_mode():
            logits: Floats = self._network(input_ids=torch.from_numpy(inputs["input_ids"])).logits.numpy()
        return [logits]


class _Graph:
    """A graph as `training.onnx_export` writes it, read back.

    It is read along its edges, in the order of its nodes: onnxruntime merges constants that are equal, so a weight may
    bear the name of another one.
    """

    def __init__(self, model: ModelProto, where: Path) -> None:
        self._where = where
        self._nodes = list(model.graph.node)
        self._constants: dict[str, Array] = {
            weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer
        }
        self._makers = {name: node for node in self._nodes for name in node.output}
        self._products = [node for node in self._nodes if node.op_type in _LAYER]
        self._norms = [node for node in self._nodes if node.op_type == "LayerNormalization"]
        self._layers = (len(self._products) - len(_HEAD)) // len(_LAYER)
        kinds = [node.op_type for node in self._products]
        is_bert = any(node.name.startswith("/bert/") for node in self._nodes)
        if not is_bert or kinds != [*_LAYER * self._layers, *_LAYER[-1:] * len(_HEAD)]:
            raise RecipeError(
                f"{where} is not built as BERT is, and only such a model can be trained further; "
                "name its encoder by package or path and train anew"
            )

    @property
    def positions(self) -> int:
        """How many tokens the encoder can read at once."""
        return len(self._table("position_embeddings"))

    def config(self, categories: Sequence[str]) -> BertConfig:
        """The encoder's shape."""
        head_count, epsilon = (
            _attribute(node, name) for node, name in ((self._products[0], "num_heads"), (self._norms[0], "epsilon"))
        )
        words = self._constants["embedding_rows"]
        return BertConfig(
            architectures=["BertForSequenceClassification"],
            vocab_size=words.shape[0],
            hidden_size=words.shape[1],
            num_hidden_layers=self._layers,
            num_attention_heads=head_count,
            intermediate_size=self._dense(self._products[2])[0].shape[1],
            max_position_embeddings=self.positions,
            type_vocab_size=len(self._table("token_type_embeddings")),
            layer_norm_eps=epsilon,
            id2label=dict(enumerate(categories)),
            label2id={category: index for index, category in enumerate(categories)},
        )

    def weights(self) -> Weights:
        """Every weight in full precision, by the name that transformers has for it."""
        embeddings = "bert.embeddings"
        rows, scale = (self._constants[f"embedding_{part}"].astype(np.float32) for part in ("rows", "scale"))
        found: Weights = {
            f"{embeddings}.word_embeddings.weight": rows * scale,
            **{
                f"{embeddings}.{name}.weight": self._table(name)
                for name in ("position_embeddings", "token_type_embeddings")
            },
            **self._norm(f"{embeddings}.LayerNorm", self._norms[0]),
        }
        for layer in range(self._layers):
            found |= self._layer(f"bert.encoder.layer.{layer}", layer)
        for name, node in zip(_HEAD, self._products[-len(_HEAD) :], strict=True):
            found |= _linear(name, *self._dense(node))
        return found

    def _layer(self, name: str, layer: int) -> Weights:
        attention, *dense = self._products[layer * len(_LAYER) :][: len(_LAYER)]
        found: Weights = {}
        weight, bias = self._attention(attention)
        columns = zip(("query", "key", "value"), np.split(weight, 3, axis=1), np.split(bias, 3), strict=True)
        for part, part_weight, part_bias in columns:
            found |= _linear(f"{name}.attention.self.{part}", part_weight, part_bias)
        for part, node in zip(_DENSE, dense, strict=True):
            found |= _linear(f"{name}.{part}", *self._dense(node))
        found |= self._norm(f"{name}.attention.output.LayerNorm", self._norms[1 + 2 * layer])
        return found | self._norm(f"{name}.output.LayerNorm", self._norms[2 + 2 * layer])

    def _attention(self, node: NodeProto) -> tuple[Floats, Floats]:
        """The weight (input channel, query + key + value channels) and the bias of a fused attention."""
        _, weight, bias, _, scale, _, _, zero, *_ = node.input
        source = self._makers[node.input[0]].input[0]  # before it was rounded
        return self._shrink(source, self._full(weight, scale, zero)), self._floats(bias)

    def _dense(self, node: NodeProto) -> tuple[Floats, Floats]:
        """The weight (input channel, output channel) and the bias of a product: `graph.condition` undone."""
        source, weight, scale, zero, *rest = node.input
        whole = self._shrink(source, self._full(weight, scale, zero))
        output = node.output[0]
        for reader in self._readers(output):
            apart = next((self._makers.get(name) for name in reader.input if name != output), None)
            if reader.op_type == "Add" and apart is not None and apart.op_type == "MatMul":
                channels = self._constants[self._makers[apart.input[0]].input[1]]
                whole[channels] += self._floats(apart.input[1])
                output = reader.output[0]
        return whole, self._floats(rest[0]) if rest and rest[0] else self._added_to(output)

    def _full(self, weight: str, scale: str, zero: str) -> Floats:
        """An int8 weight with a scale for each output channel in full precision."""
        whole: Floats = (self._floats(weight) - self._floats(zero)) * self._floats(scale)
        return whole

    def _shrink(self, source: str, weight: Floats) -> Floats:
        """The weight with the factors in it that its input's channels are multiplied by, if they are."""
        maker = self._makers.get(source)
        if maker is None or maker.op_type != "Mul" or maker.input[1] not in self._constants:
            return weight.copy()
        shrunk: Floats = weight * self._floats(maker.input[1])[:, None]
        return shrunk

    def _added_to(self, name: str) -> Floats:
        """The bias: the constant in the one node that reads a product."""
        (reader,) = self._readers(name)
        return self._floats(next(each for each in reader.input if each in self._constants))

    def _norm(self, name: str, node: NodeProto) -> Weights:
        return {f"{name}.weight": self._floats(node.input[1]), f"{name}.bias": self._floats(node.input[2])}

    def _table(self, name: str) -> Floats:
        gather = next(node for node in self._nodes if node.name.endswith(f"/{name}/Gather"))
        return self._floats(gather.input[0])

    def _readers(self, name: str) -> list[NodeProto]:
        return [node for node in self._nodes if name in node.input]

    def _floats(self, name: str) -> Floats:
        return self._constants[name].astype(np.float32)


def _linear(name: str, weight: Floats, bias: Floats) -> Weights:
    # torch keeps (output channel, input channel).
    return {f"{name}.weight": np.ascontiguousarray(weight.T), f"{name}.bias": bias}


def _attribute(node: NodeProto, name: str) -> int | float:
    found = next(attribute for attribute in node.attribute if attribute.name == name)
    value: int | float = onnx.helper.get_attribute_value(found)
    return value


def _tokenizer(model: Path, positions: int) -> PreTrainedTokenizerFast:
    """The model's own tokenizer, which knows no names for its special tokens any more."""
    known = Tokenizer.from_file(str(model / "tokenizer.json"))
    special = {role: token for role, token in _SPECIAL_TOKENS.items() if known.token_to_id(token) is not None}
    return PreTrainedTokenizerFast(tokenizer_file=str(model / "tokenizer.json"), model_max_length=positions, **special)
