"""Training: unknown labels are masked, and a step is the same step however many processes and batches share it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from moderato.artifact import Problem
from tests.training.first_step import first_step
from tests.training.tiny import encoder
from training.loss import UNKNOWN, MaskedLoss, SingleLabelLoss, class_weights, single_label_weights

ROOT = Path(__file__).parents[2]
PROBLEMS = (Problem.MULTI_LABEL, Problem.SINGLE_LABEL)


def outputs(*logits: list[float]) -> SimpleNamespace:
    """What a model returns."""
    return SimpleNamespace(logits=torch.tensor(logits, requires_grad=True))


def test_an_unknown_label_adds_no_loss_and_no_gradient() -> None:
    given = outputs([0.0, 5.0])
    loss = MaskedLoss(torch.ones(2))(given, torch.tensor([[1.0, UNKNOWN]]))
    loss.backward()
    assert loss.item() == pytest.approx(0.693147, abs=1e-5)
    assert given.logits.grad.tolist() == [[-0.5, 0.0]]


def test_a_batch_of_unknown_labels_has_no_loss() -> None:
    assert MaskedLoss(torch.ones(1))(outputs([3.0]), torch.tensor([[UNKNOWN]])) == 0


def test_a_soft_label_pulls_the_score_to_its_share() -> None:
    given = outputs([0.0])
    MaskedLoss(torch.ones(1))(given, torch.tensor([[0.75]])).backward()
    assert given.logits.grad.tolist() == [[-0.25]]


def test_a_positive_weighs_as_much_as_its_category_says() -> None:
    loss = MaskedLoss(torch.tensor([3.0]))
    assert loss(outputs([0.0]), torch.tensor([[1.0]])).item() == pytest.approx(3 * 0.693147, abs=1e-5)
    assert loss(outputs([0.0]), torch.tensor([[0.0]])).item() == pytest.approx(0.693147, abs=1e-5)


def test_a_part_of_a_step_is_divided_by_the_known_labels_of_the_whole_step() -> None:
    loss = MaskedLoss(torch.ones(2))(outputs([0.0, 5.0]), torch.tensor([[1.0, UNKNOWN]]), torch.tensor(4))
    assert loss.item() == pytest.approx(0.693147 / 4, abs=1e-5)


def test_a_single_label_loss_is_the_mean_over_texts_weighted_by_category() -> None:
    loss = SingleLabelLoss(torch.tensor([1.0, 2.0]))
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert loss(outputs([0.0, 0.0], [0.0, 0.0]), labels).item() == pytest.approx(1.5 * 0.693147, abs=1e-5)
    whole = torch.tensor(8)  # labels of a step of four texts
    assert loss(outputs([0.0, 0.0], [0.0, 0.0]), labels, whole).item() == pytest.approx(0.75 * 0.693147, abs=1e-5)


def test_a_rare_category_weighs_more_up_to_the_highest_weight() -> None:
    labels = [[1.0, 1.0, 1.0]] + [[0.0, 0.0, 1.0]] * 9 + [[UNKNOWN, 0.0, 1.0]] * 90
    assert class_weights(labels, 0.5, 5.0).tolist() == pytest.approx([3.0, 5.0, 1.0])
    assert class_weights(labels, 1.0, 50.0).tolist() == pytest.approx([9.0, 50.0, 1.0])
    assert class_weights(labels, 0.0, 5.0).tolist() == [1.0, 1.0, 1.0]


def test_soft_labels_count_as_their_share_of_a_positive() -> None:
    assert class_weights([[0.5], [0.5], [0.0], [0.0], [0.0]], 0.5, 5.0).tolist() == [2.0]


def test_the_rarer_of_single_labels_weigh_more() -> None:
    labels = [[1.0, 0.0]] * 9 + [[0.0, 1.0]]
    assert single_label_weights(labels, 0.5, 5.0).tolist() == [1.0, 3.0]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder."""
    return encoder(tmp_path_factory.mktemp("tiny") / "encoder")


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Problem, dict[str, Any]]:
    """One process, one batch of sixteen rows a step."""
    return {problem: first_step(tiny, tmp_path_factory.mktemp("whole"), 16, problem=problem) for problem in PROBLEMS}


@pytest.fixture(scope="module")
def shared(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Problem, list[dict[str, Any]]]:
    """What two processes found, eight rows a step each."""
    folder = tmp_path_factory.mktemp("shared")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    done = subprocess.run(
        [*launcher, "--nproc-per-node", "2", "-m", "tests.training.first_step", str(tiny), str(folder), "8"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        problem: [json.loads((folder / f"{problem}-{process}.json").read_text()) for process in (0, 1)]
        for problem in PROBLEMS
    }


@pytest.mark.parametrize("problem", PROBLEMS)
def test_accumulation_takes_the_same_first_step(
    problem: Problem, whole: dict[Problem, dict[str, Any]], tiny: Path, tmp_path: Path
) -> None:
    assert_same_step(first_step(tiny, tmp_path, 4, accumulation=4, problem=problem), whole[problem])


@pytest.mark.parametrize("problem", PROBLEMS)
def test_two_processes_take_the_same_first_step(
    problem: Problem, whole: dict[Problem, dict[str, Any]], shared: dict[Problem, list[dict[str, Any]]]
) -> None:
    assert_same_step(shared[problem][0], whole[problem])


def test_two_processes_share_the_rows_of_each_epoch(shared: dict[Problem, list[dict[str, Any]]]) -> None:
    first, second = shared[Problem.MULTI_LABEL]
    epochs = [sorted(mine + theirs) for mine, theirs in zip(first["epochs"], second["epochs"], strict=True)]
    assert epochs == [list(range(16))] * 2


def assert_same_step(found: dict[str, Any], whole: dict[str, Any]) -> None:
    """Loss, gradient norm and validation loss agree to 4 decimals."""
    for figure in ("loss", "gradient_norm", "validation_loss"):
        assert found[figure] == pytest.approx(whole[figure], abs=5e-5), figure
