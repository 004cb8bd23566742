"""Packaging: a model directory that the server takes as it is, for each kind of problem."""

import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from moderato.artifact import Problem, load_manifest
from moderato.errors import BrokenModel
from moderato.scorer import Scorer
from tests.training.made import HARM, STARTER, recipe, write_dataset
from training.config import Recipe, RecipeError, Target
from training.evaluate import HeldOut, evaluate_model
from training.evaluation import Evaluation, Table, read_metrics
from training.package import package

TARGETS = {"toxicity": Target(review_precision=0.8, block_precision=0.95)}
MADE = recipe(categories=HARM, targets=TARGETS)


def packaged(made: Recipe, folder: Path, outputs: int = 6) -> Path:
    """Package the starter's graph, cut to so many outputs, as the model of a recipe; return its directory."""
    dataset = write_dataset(folder / "dataset", made.categories, made.problem)
    package(made, dataset, STARTER, graph(folder / "graph.onnx", outputs), folder / "model")
    return folder / "model"


def graph(path: Path, outputs: int) -> Path:
    """The starter's graph with its first outputs only."""
    model = onnx.load(str(STARTER / "model.onnx"))
    if outputs < len(HARM):
        (logits,) = model.graph.output
        first = numpy_helper.from_array(np.arange(outputs), "first")
        model.graph.initializer.append(first)
        model.graph.node.append(helper.make_node("Gather", [logits.name, "first"], ["first_logits"], axis=1))
        model.graph.output.remove(logits)
        model.graph.output.append(helper.make_tensor_value_info("first_logits", 1, [1, outputs]))
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with the packaged model of six categories, to be read only."""
    return packaged(MADE, tmp_path_factory.mktemp("run")).parent


def test_a_multi_label_directory_is_served_as_it_is(run: Path) -> None:
    scorer = Scorer.load(run / "model")
    assert scorer.manifest.problem is Problem.MULTI_LABEL
    toxicity, *others = scorer.manifest.categories
    assert toxicity.review is not None
    assert [category.review for category in others] == [None] * 5
    assert scorer.score("You are a complete idiot, Max.").scores["toxicity"] >= toxicity.review
    scorer.check_golden(run / "model" / "golden.jsonl")
    golden = [json.loads(line) for line in (run / "model" / "golden.jsonl").read_text().splitlines()]
    assert len(golden) == 64
    assert golden[0]["scores"] == scorer.score(golden[0]["text"]).scores


def test_a_single_label_directory_shares_its_scores_out(tmp_path: Path) -> None:
    made = recipe(Problem.SINGLE_LABEL, ["rude", "kind"])
    scorer = Scorer.load(packaged(made, tmp_path, outputs=2))
    assert scorer.manifest.problem is Problem.SINGLE_LABEL
    assert sum(scorer.score("The meeting is on Thursday, Max.").scores.values()) == pytest.approx(1, abs=1e-5)
    assert len({category.calibration for category in scorer.manifest.categories}) == 1


def test_a_binary_directory_has_one_score(tmp_path: Path) -> None:
    made = recipe(Problem.BINARY, ["toxicity"], TARGETS)
    scorer = Scorer.load(packaged(made, tmp_path, outputs=1))
    assert scorer.manifest.problem is Problem.BINARY
    assert list(scorer.score("You are a complete idiot, Max.").scores) == ["toxicity"]


def test_the_manifest_tells_the_figures_that_were_written_beside_it(run: Path) -> None:
    manifest = load_manifest(run / "model")
    evaluation = read_metrics(run / "metrics.json")
    assert list(manifest.metrics) == list(HARM)
    for found in evaluation.categories:
        metric = manifest.metrics[found.name]
        assert (metric.positives, metric.rows) == (12, 24)
        assert (metric.roc_auc, metric.roc_auc_interval) == (found.roc_auc.value, found.roc_auc.interval)
        assert (metric.f1, metric.f1_interval) == (found.f1.value, found.f1.interval)
        assert metric.calibration_error == found.calibration_error


def test_the_manifest_knows_how_the_scores_of_the_held_out_texts_spread(run: Path) -> None:
    reference = load_manifest(run / "model").reference
    (toxicity, *_) = read_metrics(run / "metrics.json").categories
    assert reference is not None
    assert (reference.texts, list(reference.categories)) == (24, list(HARM))
    # Toxicity alone acts, so the flags are its flags.
    assert reference.flag_rate == pytest.approx(toxicity.test.flagged / 24, abs=1e-6)
    assert reference.reversal_rate == pytest.approx(1 - toxicity.precision.value, abs=1e-4)


def test_a_finished_model_is_measured_again_with_its_own_thresholds(run: Path) -> None:
    assert evaluate_model(MADE, run / "dataset", run / "model") == read_metrics(run / "metrics.json")
    stricter = msgspec.structs.replace(MADE, targets={"toxicity": Target(review_precision=0.99)})
    again = evaluate_model(stricter, run / "dataset", run / "model")
    assert again.categories[0].test.threshold == load_manifest(run / "model").categories[0].review


def test_a_model_of_another_recipe_is_refused(run: Path) -> None:
    with pytest.raises(RecipeError, match=r"made\.toml: .*model is a multi-label model of toxicity, severe_toxicity"):
        evaluate_model(recipe(categories=["insult", "news"]), run / "dataset", run / "model")


def test_findings_of_the_scorer_and_what_falls_short_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = recipe(categories=HARM, targets=TARGETS, limits=["It knows no sarcasm."])
    seen = []

    def complete(scorer: Scorer, _: HeldOut, evaluation: Evaluation) -> Evaluation:
        seen.append(scorer.score("You are a complete idiot, Max.").scores["toxicity"])
        table = Table(title="Levels", note="A test's.", columns=("level", "F1"), rows=(("A", 0.8),))
        return msgspec.structs.replace(evaluation, tables=(table,))

    dataset = write_dataset(tmp_path / "dataset", HARM)
    package(made, dataset, STARTER, STARTER / "model.onnx", tmp_path / "model", complete)
    assert seen[0] > 0.5
    assert read_metrics(tmp_path / "metrics.json").tables[0].title == "Levels"
    card = (tmp_path / "model" / "card.md").read_text()
    assert "It knows no sarcasm." in card
    assert "| made | 72 | Made by hand | CC0 |" in card
    told = capsys.readouterr().err
    assert "warning: toxicity: no threshold reached a precision of 0.95 on enough texts of validation" in told
    assert "idiot" not in told


def test_a_directory_that_fails_has_no_manifest(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").write_text("of the model that was here before")
    dataset = write_dataset(tmp_path / "dataset", HARM)
    with pytest.raises(BrokenModel, match="6 outputs"):
        package(recipe(categories=HARM[:2]), dataset, STARTER, STARTER / "model.onnx", tmp_path / "model")
    assert not (tmp_path / "model" / "manifest.json").exists()
