"""Fine-tune the encoder of a recipe on its dataset, with a loss that leaves unknown labels out."""

import importlib.util
import json
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
)

from moderato.text import normalize
from training import dataset
from training.blend import blend
from training.config import Recipe
from training.dataset import Row

UNKNOWN = -1.0
"""Stands for a label that its source does not give."""


class TokenRows(Dataset[dict[str, Any]]):  # type: ignore[misc]  # torch is not where the types are checked
    """Rows as the model eats them: token ids, cut at the window, and one float a category (UNKNOWN = masked)."""

    def __init__(self, rows: Sequence[Row], tokenizer: PreTrainedTokenizerBase, max_tokens: int) -> None:
        texts = [normalize(row.text).text for row in rows]
        self.ids = tokenizer(texts, truncation=True, max_length=max_tokens)["input_ids"]
        self.labels = [_floats(row) for row in rows]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.ids[index], "labels": self.labels[index]}


@dataclass(frozen=True)
class Phase:
    """One fine-tuning: from which safetensors folder, on which rows, how often and at which rate."""

    start: Path
    rows: Sequence[Row]
    epochs: int
    learning_rate: float
    output: Path


def train(recipe: Recipe, dataset_folder: Path, output: Path) -> Path:
    """Fine-tune in two phases, on all rows and then on blends; return the safetensors folder of their average.

    Each phase writes `encoder/` and `history.json` to its folder below `output`, and skips what a run before it ended.
    Checkpoints lie beside them: a run that was killed goes on from the newest. Raises ValueError when `output` holds a
    run of another recipe or dataset.
    """
    _claim(output, recipe, dataset_folder)
    rows = dataset.load(dataset_folder, "train")
    validation = [row for row in dataset.load(dataset_folder, "validation") if row.natural]
    knobs = recipe.train
    first = Phase(encoder_folder(recipe), rows, knobs.epochs, knobs.learning_rate, output / "phase-1")
    weights = class_weights([_floats(row) for row in rows], knobs.max_class_weight)
    encoder = _fit(recipe, first, validation, weights)
    replayed = random.Random(knobs.seed).sample(rows, min(recipe.blend.rows, len(rows)))
    blended = [*replayed, *blend(rows, recipe.blend.blends, knobs.seed)]
    second = Phase(encoder, blended, 1, recipe.blend.learning_rate, output / "phase-2")
    return _average(encoder, _fit(recipe, second, validation, weights), recipe.blend.share, output / "encoder")


def _claim(output: Path, recipe: Recipe, dataset_folder: Path) -> None:
    """Write down whose run `output` holds, so that no phase of another one is taken for finished."""
    knobs = {name: value for name, value in asdict(recipe).items() if name in ("encoder", "train", "blend", "sources")}
    knobs["blend"].pop("share")  # only the average depends on it
    run = json.dumps({"dataset": dataset.describe(dataset_folder)["digest"], **knobs}, indent=1)
    path = output / "run.json"
    if path.is_file() and path.read_text() != run:
        raise ValueError(f"{output} holds a run of another recipe or dataset: remove it, or name another --output")
    path.write_text(run)


def _average(first: Path, second: Path, share: float, folder: Path) -> Path:
    """The weighted mean of two models (WiSE-FT, Wortsman et al. 2022): the gain of the second, little forgotten."""
    models = [AutoModelForSequenceClassification.from_pretrained(path) for path in (first, second)]
    ours, theirs = (model.state_dict() for model in models)
    models[0].load_state_dict({name: torch.lerp(ours[name].float(), theirs[name].float(), share) for name in ours})
    models[0].save_pretrained(folder)
    AutoTokenizer.from_pretrained(first).save_pretrained(folder)
    return folder


def _fit(recipe: Recipe, phase: Phase, validation: Sequence[Row], weights: Tensor) -> Path:
    encoder = phase.output / "encoder"
    if (phase.output / "history.json").is_file():
        return encoder
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder(recipe))
    trainer = Trainer(
        model=AutoModelForSequenceClassification.from_pretrained(
            phase.start,
            num_labels=len(recipe.categories),
            id2label=dict(enumerate(recipe.categories)),
            label2id={category: index for index, category in enumerate(recipe.categories)},
            problem_type="multi_label_classification",
        ),
        args=_arguments(recipe, phase),
        train_dataset=TokenRows(phase.rows, tokenizer, recipe.train.max_tokens),
        eval_dataset=TokenRows(validation, tokenizer, recipe.train.max_tokens),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_loss_func=MaskedLoss(weights),
        compute_metrics=_metrics,
    )
    trainer.train(resume_from_checkpoint=_newest_checkpoint(phase.output / "checkpoints"))
    trainer.save_model(str(encoder))
    # Written last: a phase that has its history is complete.
    (phase.output / "history.json").write_text(json.dumps(trainer.state.log_history, indent=1))
    return encoder


class MaskedLoss:
    """Binary cross-entropy over the known labels, positives weighted by category."""

    def __init__(self, weights: Tensor) -> None:
        self.weights = weights  # (category,)

    def __call__(self, outputs: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:  # noqa: ARG002  # the Trainer passes it
        """The mean over known labels; `outputs.logits` and `labels` are (batch, category)."""
        known = labels != UNKNOWN
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            outputs.logits.float(), labels.clamp(min=0), pos_weight=self.weights.to(labels.device), reduction="none"
        )
        return (losses * known).sum() / known.sum().clamp(min=1)


def class_weights(labels: Sequence[Sequence[float]], highest: float) -> Tensor:
    """Per category the square root of negatives over positives, between 1 and `highest`."""
    table = torch.tensor(labels)  # (row, category)
    positives = (table == 1).sum(dim=0).clamp(min=1)
    return torch.sqrt((table == 0).sum(dim=0) / positives).clamp(1, highest)


def encoder_folder(recipe: Recipe) -> Path:
    """Where the package with the pretrained encoder keeps it; nothing of the package is imported."""
    found = importlib.util.find_spec(recipe.encoder.package)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(
            f"the encoder's package {recipe.encoder.package} is not installed: requirements/train.txt"
        )
    return Path(found.submodule_search_locations[0]) / "model"


def _floats(row: Row) -> list[float]:
    return [UNKNOWN if bit is None else float(bit) for bit in row.labels.values()]


def _arguments(recipe: Recipe, phase: Phase) -> TrainingArguments:
    knobs = recipe.train
    steps = math.ceil(len(phase.rows) / knobs.batch_size) * phase.epochs
    return TrainingArguments(
        output_dir=str(phase.output / "checkpoints"),
        num_train_epochs=phase.epochs,
        per_device_train_batch_size=knobs.batch_size,
        per_device_eval_batch_size=64,
        learning_rate=phase.learning_rate,
        weight_decay=knobs.weight_decay,
        warmup_steps=int(steps * knobs.warmup_share),
        lr_scheduler_type="linear",
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="group_by_length",
        eval_strategy="epoch",
        save_strategy="steps",
        save_steps=500,
        save_total_limit=2,
        logging_steps=50,
        seed=knobs.seed,
        report_to="none",
    )


def _metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Mean ROC AUC over the categories that have both kinds of label."""
    labels, logits = np.asarray(prediction.label_ids), np.asarray(prediction.predictions)
    aucs = []
    for category in range(labels.shape[1]):
        known = labels[:, category] != UNKNOWN
        if len(set(labels[known, category])) == 2:
            aucs.append(float(roc_auc_score(labels[known, category], logits[known, category])))
    return {"mean_roc_auc": sum(aucs) / len(aucs)}


def _newest_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint; one without `trainer_state.json` was cut off while it was written."""
    complete = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(complete, key=lambda path: int(path.name.rsplit("-", 1)[1]))) if complete else None
