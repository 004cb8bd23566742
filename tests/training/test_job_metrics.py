"""What SageMaker reads off a job's log is what the Trainer prints into it."""

import re

import pytest
from transformers import PrinterCallback, TrainerControl, TrainerState, TrainingArguments

from moderato.artifact import Problem
from training.jobs import metrics_of, objective_of


@pytest.mark.parametrize(
    ("problem", "objective"),
    [
        (Problem.MULTI_LABEL, "eval_mean_roc_auc"),
        (Problem.BINARY, "eval_mean_roc_auc"),
        (Problem.SINGLE_LABEL, "eval_macro_f1"),
    ],
)
def test_the_figures_are_read_off_the_log(
    problem: Problem, objective: str, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    figures = {"eval_loss": 0.25, objective: 0.9812, "eval_exact_loss": 0.2511, "epoch": 1.0}
    steps = {"loss": 0.5, "grad_norm": 3.0, "learning_rate": 2.5e-05, "epoch": 0.5}
    for logs in (steps, figures):
        PrinterCallback().on_log(TrainingArguments(str(tmp_path)), TrainerState(), TrainerControl(), logs=dict(logs))
    printed = capsys.readouterr().out
    read = {name: re.findall(pattern, printed) for name, pattern in metrics_of(problem).items()}
    assert objective_of(problem) == objective
    assert {name: [float(value) for value in values] for name, values in read.items() if values} == {
        "loss": [0.5],
        "learning_rate": [2.5e-05],
        "eval_loss": [0.25],
        "eval_exact_loss": [0.2511],
        objective: [0.9812],
    }
