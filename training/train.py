"""Fine-tune the encoder of a recipe on its dataset, with a loss that leaves unknown labels out."""

import importlib.util
import json
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import torch
from sklearn.metrics import f1_score, roc_auc_score
from torch import Tensor
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EarlyStoppingCallback,
    EvalPrediction,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerState,
    TrainingArguments,
    set_seed,
)

from moderato.artifact import Problem
from moderato.text import normalize
from training import dataset, tricks
from training.blend import blend
from training.checkpoints import SealCheckpoints, known_to_all, newest_checkpoint, processes, saved_by_any_process
from training.claim import claim, write_whole
from training.config import Recipe, RecipeError
from training.continuation import continue_from
from training.counterexamples import counterexamples
from training.dataset import Row
from training.loss import UNKNOWN, MaskedLoss, SingleLabelLoss, class_weights, single_label_weights
from training.parent import model_of
from training.replay import replay


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


class EpochOrder(TrainerCallback):  # type: ignore[misc]  # transformers is not where the types are checked
    """Seeds each epoch by its number: the Trainer's sampler draws the order of rows from torch's global generator.

    Without it, processes whose dropout drew unevenly would disagree about the order from the second epoch on, and a
    resumed run would shuffle the rest of its epoch anew, so that some rows came twice and others never.
    """

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Seed torch just before the rows of the epoch are put in order."""
        torch.manual_seed(args.seed + int(state.epoch or 0))

    def on_save(self, args: TrainingArguments, state: TrainerState, *_: Any, **__: Any) -> None:
        """Leave the generator's state out of a checkpoint between epochs.

        A resumed run would otherwise load it after the epoch was seeded: another order of rows than an unbroken run
        has, and in each process another one.
        """
        if float(state.epoch or 0).is_integer():
            name = f"rng_state_{args.process_index}.pth" if args.world_size > 1 else "rng_state.pth"
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / name).unlink(missing_ok=True)


@dataclass(frozen=True)
class Sharding:
    """How a training is spread over processes.

    A model too large for one GPU takes the path of an FSDP or of a DeepSpeed configuration.
    """

    fsdp: Path | None = None
    deepspeed: Path | None = None
    shared_disk: bool = True
    """Whether all hosts see the same folders; otherwise the first process of each writes a copy of the run."""

    def writes_here(self) -> bool:
        """Whether this process is the one that writes."""
        known = processes()
        return bool(known.is_main_process if self.shared_disk else known.is_local_main_process)


@dataclass(frozen=True)
class Phase:
    """One fine-tuning: from which safetensors folder, on which rows, how often and at which rate."""

    start: str
    rows: Sequence[Row]
    epochs: int
    learning_rate: float
    output: Path


def train(
    recipe: Recipe,
    dataset_folder: Path,
    output: Path,
    callbacks: Sequence[TrainerCallback] = (),
    sharding: Sharding | None = None,
) -> Path:
    """Fine-tune on all rows, then, if the recipe says so, on blends; return the safetensors folder of the result.

    Each phase writes `encoder/` and `history.json` to its folder below `output`, and skips what a run before it ended.
    Checkpoints lie beside them: a run that was killed goes on from the newest. Under torchrun every process calls this.
    Raises RecipeError when `output` holds a run of another recipe or dataset, or `sharding` cannot be had here.
    """
    sharding = sharding or Sharding()
    _check(recipe, sharding)
    output.mkdir(parents=True, exist_ok=True)
    claim(output, recipe, dataset_folder)
    start = output / "start"
    recipe = _with_start(recipe, start, sharding)
    rows = training_rows(recipe, dataset_folder)
    validation = [row for row in dataset.load(dataset_folder, "validation") if row.natural]
    train_knobs, blend_knobs = recipe.train, recipe.blend
    first = Phase(encoder_of(recipe), rows, train_knobs.epochs, train_knobs.learning_rate, output / "phase-1")
    loss = make_loss(recipe, rows)
    encoder = _fit(recipe, first, validation, loss, callbacks, sharding)
    if start.is_dir() and train_knobs.share < 1:
        encoder = _average(start, encoder, train_knobs.share, output / "continued", sharding)
    if blend_knobs is None:
        return encoder
    replayed = random.Random(train_knobs.seed).sample(rows, min(blend_knobs.rows, len(rows)))
    blended = [*replayed, *blend(rows, blend_knobs.blends, train_knobs.seed)]
    second = Phase(str(encoder), blended, 1, blend_knobs.learning_rate, output / "phase-2")
    blended_encoder = _fit(recipe, second, validation, loss, callbacks, sharding)
    return _average(encoder, blended_encoder, blend_knobs.share, output / "encoder", sharding)


def training_rows(recipe: Recipe, dataset_folder: Path) -> list[Row]:
    """The rows of the training split that the recipe takes, and what its augmentation makes of them."""
    rows = replay(dataset.load(dataset_folder, "train"), recipe.train)
    more, seed = recipe.augmentation, recipe.train.seed
    counter = counterexamples(more.counterexamples, seed, recipe.categories) if more.counterexamples else []
    return [*rows, *counter, *tricks.augment([*rows, *counter], more.tricks, seed)]


def make_loss(recipe: Recipe, rows: Sequence[Row]) -> MaskedLoss | SingleLabelLoss:
    """The loss of the recipe's problem, with weights by how rare each category is among `rows`."""
    labels = [_floats(row) for row in rows]
    power, highest = recipe.train.class_weight_power, recipe.train.max_class_weight
    if recipe.problem is Problem.SINGLE_LABEL:
        return SingleLabelLoss(single_label_weights(labels, power, highest))
    return MaskedLoss(class_weights(labels, power, highest))


def encoder_of(recipe: Recipe) -> str:
    """Where the pretrained encoder is: a package's folder, the recipe's path, or a hub id that transformers fetches."""
    encoder = recipe.encoder
    if encoder.model is not None:
        raise RecipeError(f"{recipe.file}: only `run` and `fit` go on from a model; name a package or a path instead")
    if encoder.package is not None:
        found = importlib.util.find_spec(encoder.package)
        if found is None or not found.submodule_search_locations:
            raise RecipeError(f"{recipe.file}: the encoder's package {encoder.package!r} is not installed; install it")
        return str(Path(found.submodule_search_locations[0]) / "model")
    if encoder.path is not None and not Path(encoder.path).is_dir():
        raise RecipeError(f"{recipe.file}: no encoder at {encoder.path!r}; give the path of a safetensors folder")
    return encoder.path or encoder.name


def _with_start(recipe: Recipe, folder: Path, sharding: Sharding) -> Recipe:
    """The recipe with an encoder made from the model that it goes on from, if it goes on from one."""
    if recipe.encoder.model is None:
        return recipe
    if sharding.writes_here() and not folder.is_dir():
        found = continue_from(model_of(recipe), folder)
        print(
            f"going on from {recipe.encoder.model}: over {found.texts} golden texts logits differ from the served "
            f"ones by {found.mean:.3f} on average and {found.largest:.3f} at most",
            flush=True,
        )
    processes().wait_for_everyone()
    encoder = msgspec.structs.replace(recipe.encoder, model=None, package=None, path=str(folder))
    return msgspec.structs.replace(recipe, encoder=encoder)


def _check(recipe: Recipe, sharding: Sharding) -> None:
    """Stop where the Trainer would not shard, or would without a word do something else."""
    if sharding.fsdp is None and sharding.deepspeed is None:
        return
    if not sharding.shared_disk:
        raise RecipeError("FSDP and DeepSpeed need a disk that all hosts share; leave --own-disks out")
    if not torch.cuda.is_available():
        # The Trainer would take both for plain DDP, and say nothing.
        raise RecipeError("FSDP and DeepSpeed need GPUs; leave --fsdp and --deepspeed out")
    if recipe.train.layer_decay != 1.0:
        raise RecipeError(f"{recipe.file}: layer_decay does not go with FSDP or DeepSpeed; set it to 1.0")


def _fit(
    recipe: Recipe,
    phase: Phase,
    validation: Sequence[Row],
    loss: MaskedLoss | SingleLabelLoss,
    callbacks: Sequence[TrainerCallback],
    sharding: Sharding,
) -> Path:
    encoder, history = phase.output / "encoder", phase.output / "history.json"
    is_over = history.is_file()
    if is_over if sharding.shared_disk else known_to_all([1] if is_over else []):
        return encoder
    trainer = make_trainer(recipe, phase, validation, loss, callbacks, sharding)
    trainer.train(resume_from_checkpoint=newest_checkpoint(phase.output / "checkpoints", sharding.writes_here()))
    trainer.save_model(str(encoder))
    if trainer.args.should_save:
        # Written last: a phase that has its history is complete.
        write_whole(history, json.dumps(trainer.state.log_history, indent=1))
    trainer.accelerator.wait_for_everyone()
    return encoder


def make_trainer(
    recipe: Recipe,
    phase: Phase,
    validation: Sequence[Row],
    loss: MaskedLoss | SingleLabelLoss,
    callbacks: Sequence[TrainerCallback] = (),
    sharding: Sharding | None = None,
) -> Trainer:
    """The Trainer of one phase, ready to train."""
    set_seed(recipe.train.seed)  # the classifier on top of the encoder is drawn here
    tokenizer = AutoTokenizer.from_pretrained(encoder_of(recipe))
    model = AutoModelForSequenceClassification.from_pretrained(
        phase.start,
        num_labels=len(recipe.categories),
        id2label=dict(enumerate(recipe.categories)),
        label2id={category: index for index, category in enumerate(recipe.categories)},
    )
    early = [EarlyStoppingCallback(recipe.train.patience)] if recipe.train.patience else []
    return Trainer(
        model=saved_by_any_process(model),
        args=_arguments(recipe, phase, sharding or Sharding()),
        train_dataset=TokenRows(phase.rows, tokenizer, recipe.train.max_tokens),
        eval_dataset=TokenRows(validation, tokenizer, recipe.train.max_tokens),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
        compute_loss_func=loss,
        compute_metrics=partial(_figures, recipe.problem, loss),
        callbacks=[EpochOrder(), SealCheckpoints(), *early, *callbacks],
        optimizers=(_optimizer(recipe, phase, model), None),
    )


def _arguments(recipe: Recipe, phase: Phase, sharding: Sharding) -> TrainingArguments:
    train_knobs = recipe.train
    stops_early = train_knobs.patience > 0
    arguments = TrainingArguments(
        output_dir=str(phase.output / "checkpoints"),
        num_train_epochs=phase.epochs,
        per_device_train_batch_size=train_knobs.batch_size,
        gradient_accumulation_steps=train_knobs.accumulation,
        per_device_eval_batch_size=64,
        learning_rate=phase.learning_rate,
        weight_decay=train_knobs.weight_decay,
        lr_scheduler_type="linear",
        bf16=train_knobs.bf16 and _has_bf16(),
        use_cpu=not torch.cuda.is_available(),
        fsdp=sharding.fsdp is not None,
        fsdp_config=str(sharding.fsdp) if sharding.fsdp else None,
        deepspeed=str(sharding.deepspeed) if sharding.deepspeed else None,
        train_sampling_strategy="group_by_length",
        eval_strategy="steps",
        eval_steps=train_knobs.checkpoint_steps,
        save_strategy="steps",
        save_steps=train_knobs.checkpoint_steps,
        save_total_limit=2,
        save_on_each_node=not sharding.shared_disk,
        load_best_model_at_end=stops_early,
        # How long patience has lasted is part of where a run was.
        restore_callback_states_from_checkpoint=stops_early,
        metric_for_best_model="macro_f1" if recipe.problem is Problem.SINGLE_LABEL else "mean_roc_auc",
        logging_steps=50,
        disable_tqdm=not sys.stderr.isatty(),
        seed=train_knobs.seed,
        report_to="none",
    )
    # Only now is it known how many processes share the rows.
    batch = train_knobs.batch_size * train_knobs.accumulation * arguments.world_size
    epoch_steps = math.ceil(len(phase.rows) / batch)
    arguments.warmup_steps = int(epoch_steps * phase.epochs * train_knobs.warmup_share)
    arguments.eval_steps = max(1, math.ceil(epoch_steps / train_knobs.evaluations_per_epoch))
    if stops_early:
        # The best model can only be one that was saved, so an evaluation is a checkpoint where training may stop early.
        arguments.save_steps = arguments.eval_steps
    return arguments


def _has_bf16() -> bool:
    """Whether bf16 is faster than fp32 here: emulated, it is slower."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def _optimizer(recipe: Recipe, phase: Phase, model: torch.nn.Module) -> torch.optim.Optimizer | None:
    """AdamW with a rate for each layer, or None for the Trainer's own where all learn alike."""
    decay = recipe.train.layer_decay
    if decay == 1.0:
        return None
    depth = model.config.num_hidden_layers
    groups: dict[tuple[int, bool], list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        is_decayed = parameter.ndim > 1
        groups.setdefault((_height(name, depth), is_decayed), []).append(parameter)
    return torch.optim.AdamW(
        [
            {
                "params": parameters,
                "lr": phase.learning_rate * decay ** (depth + 1 - height),
                "weight_decay": recipe.train.weight_decay if is_decayed else 0.0,
            }
            for (height, is_decayed), parameters in groups.items()
        ]
    )


def _height(name: str, depth: int) -> int:
    """0 for the embeddings, 1 for the lowest layer, `depth` + 1 for the classifier."""
    parts = name.split(".")
    if "embeddings" in parts:
        return 0
    numbers = [int(part) for part in parts if part.isdigit()]
    return numbers[0] + 1 if numbers else depth + 1


def _figures(problem: Problem, loss: MaskedLoss | SingleLabelLoss, prediction: EvalPrediction) -> dict[str, float]:
    """The figures on validation; `exact_loss` is what `eval_loss` is only nearly.

    The Trainer weighs its batches by their rows, not by what is known of them, and with several processes fills the
    last one with rows that it had already.
    """
    figures = _single_label_metrics(prediction) if problem is Problem.SINGLE_LABEL else _metrics(prediction)
    logits, labels = (torch.from_numpy(np.asarray(table)) for table in (prediction.predictions, prediction.label_ids))
    return {**figures, "exact_loss": float(loss(SimpleNamespace(logits=logits), labels))}


def _metrics(prediction: EvalPrediction) -> dict[str, float]:
    """Mean ROC AUC over the categories that have both kinds of label; soft labels count from one half."""
    labels, logits = np.asarray(prediction.label_ids), np.asarray(prediction.predictions)
    aucs = []
    for category in range(labels.shape[1]):
        known = labels[:, category] != UNKNOWN
        positive = labels[known, category] >= 0.5
        if len(set(positive.tolist())) == 2:
            aucs.append(float(roc_auc_score(positive, logits[known, category])))
    return {"mean_roc_auc": sum(aucs) / len(aucs) if aucs else 0.5}


def _single_label_metrics(prediction: EvalPrediction) -> dict[str, float]:
    found, expected = (np.asarray(table).argmax(axis=1) for table in (prediction.predictions, prediction.label_ids))
    return {
        "accuracy": float((found == expected).mean()),
        "macro_f1": float(f1_score(expected, found, average="macro", zero_division=0)),
    }


def _average(first: Path, second: Path, share: float, folder: Path, sharding: Sharding) -> Path:
    """The weighted mean of two models (WiSE-FT, Wortsman et al. 2022): the gain of the second, little forgotten.

    Every process calls this, and the first one writes.
    """
    if sharding.writes_here():
        models = [AutoModelForSequenceClassification.from_pretrained(path) for path in (first, second)]
        ours, theirs = (model.state_dict() for model in models)
        models[0].load_state_dict({name: torch.lerp(ours[name].float(), theirs[name].float(), share) for name in ours})
        saved_by_any_process(models[0]).save_pretrained(folder)
        AutoTokenizer.from_pretrained(first).save_pretrained(folder)
    processes().wait_for_everyone()
    return folder


def _floats(row: Row) -> list[float]:
    return [UNKNOWN if label is None else label for label in row.labels.values()]
