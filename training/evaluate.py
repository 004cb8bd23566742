"""Judge an exported graph with the scorer that serves it, and measure it on held-out text."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from moderato.artifact import Category, Manifest, Problem, load_manifest
from moderato.scorer import Scorer
from training import dataset
from training.calibrate import PLAIN, best_f1, calibrated, fit
from training.config import Recipe, RecipeError
from training.dataset import Row
from training.evaluation import CategoryEvaluation, Estimate, Evaluation, Outcome, Overall
from training.figures import (
    CATEGORY_FIGURES,
    CLASS_FIGURES,
    RESAMPLES,
    THRESHOLDS,
    Counts,
    Figures,
    Flags,
    Floats,
    Sample,
    calibration_error,
    category_figures,
    class_figures,
    curve,
    estimate,
    histogram,
    measure,
    outcome,
    reliability,
)
from training.slices import slices

POSITIVE = 0.5
"""A soft label from here on counts as positive in every figure."""

HIGHEST_CALIBRATION_ERROR = 0.02
"""Beyond it, scores cannot be read as probabilities; the report warns."""

Complete = Callable[[Scorer, "HeldOut", Evaluation], Evaluation]
"""Adds the findings that need the scorer or the held-out texts: bias, robustness, levels, summaries."""


@dataclass(frozen=True)
class Judged:
    """Texts of a split: the pooled, uncalibrated logits of each category, and its label."""

    logits: Floats  # (text, category)
    labels: Floats  # (text, category); NaN where unknown

    @property
    def bits(self) -> Floats:
        """Labels as 1, 0, or NaN where unknown."""
        return np.where(np.isnan(self.labels), np.nan, (self.labels >= POSITIVE).astype(float))

    def only(self, chosen: Flags) -> "Judged":
        """The texts at which `chosen` is true."""
        return Judged(self.logits[chosen], self.labels[chosen])


@dataclass(frozen=True)
class HeldOut:
    """What a model was not trained on: the natural texts of validation, and all texts of the test split."""

    validation: Judged
    test: Judged
    rows: Sequence[Row]
    """The rows of `test`."""

    @property
    def natural(self) -> Flags:
        """Which texts of the test split have the class mix of real traffic."""
        return np.array([row.natural for row in self.rows], dtype=bool)


@dataclass(frozen=True)
class Answers:
    """What the finished model says of texts."""

    bits: Floats  # (text, category); 1, 0, or NaN where unknown
    plain: Floats  # (text, category): scores without calibration
    scores: Floats  # (text, category)
    flagged: Flags  # (text, category): by the threshold, or by the highest score in a single-label model

    def only(self, chosen: Flags) -> "Answers":
        """The texts at which `chosen` is true."""
        return Answers(self.bits[chosen], self.plain[chosen], self.scores[chosen], self.flagged[chosen])


def judge(scorer: Scorer, rows: Sequence[Row], what: str = "texts") -> Judged:
    """Read every text as it is served: alone, in windows, folded where it is disguised. Shows its progress."""
    names = scorer.manifest.category_names
    # The runtime lets go of the interpreter's lock, and a text's logits depend on nothing but the text.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        logits = list(
            track(
                threads.map(scorer.pooled, [row.text for row in rows]),
                description=f"scoring {what}",
                total=len(rows),
                console=Console(stderr=True),
            )
        )
    labels = [[np.nan if (label := row.labels.get(name)) is None else label for name in names] for row in rows]
    shape = (len(rows), len(names))
    return Judged(np.array(logits, dtype=float).reshape(shape), np.array(labels, dtype=float).reshape(shape))


def hold_out(recipe: Recipe, dataset_folder: Path, scorer: Scorer) -> HeldOut:
    """Judge the texts that thresholds are chosen on and those that figures are taken on.

    Raises RecipeError when the natural sources hold out nothing to measure on.
    """
    validation = [row for row in dataset.load(dataset_folder, "validation") if row.natural]
    test = dataset.load(dataset_folder, "test")
    if not any(row.natural for row in test):
        raise RecipeError(
            f"{recipe.file}: no text of a natural source is held out; raise `test` of that source's split"
        )
    return HeldOut(judge(scorer, validation, "validation"), judge(scorer, test, "held-out texts"), test)


def evaluate_model(
    recipe: Recipe, dataset_folder: Path, directory: Path, complete: Complete | None = None
) -> Evaluation:
    """Measure a finished model directory once more, with the thresholds that it was shipped with.

    Raises BrokenModel when it does not load, and RecipeError when it is not a model of this recipe.
    """
    manifest = load_manifest(directory)
    if manifest.category_names != recipe.categories or manifest.problem is not recipe.problem:
        raise RecipeError(
            f"{recipe.file}: {directory} is a {manifest.problem} model of {', '.join(manifest.category_names)}; "
            "name the recipe that it was made by"
        )
    scorer = Scorer.load(directory)
    held_out = hold_out(recipe, dataset_folder, scorer)
    evaluation = evaluate(recipe, manifest, held_out)
    return evaluation if complete is None else complete(scorer, held_out, evaluation)


def choose(recipe: Recipe, held_out: HeldOut) -> tuple[Category, ...]:
    """Calibrate the categories and choose their thresholds, all on validation."""
    return fit(recipe, held_out.validation.logits, held_out.validation.bits)


def evaluate(recipe: Recipe, manifest: Manifest, held_out: HeldOut, resamples: int = RESAMPLES) -> Evaluation:
    """Everything that can be told of the manifest's categories from the judged texts."""
    thresholds = _thresholds(manifest, held_out.validation)
    validation = _answers(manifest, held_out.validation, thresholds)
    test = _answers(manifest, held_out.test, thresholds)
    natural = test.only(held_out.natural)
    measured = [i for i in range(len(thresholds)) if {0.0, 1.0} <= set(natural.bits[:, i].tolist())]
    if not measured:
        raise RecipeError(f"{recipe.file}: no category has both kinds of text held out; raise `test` of the split")
    sample = measure(_figures(natural, measured), len(natural.bits), recipe.train.seed, resamples)
    categories = tuple(
        _category(recipe, manifest.categories[i], i, thresholds[i], validation, natural, _estimates(sample, place))
        for place, i in enumerate(measured)
    )
    unmeasured = tuple(name for i, name in enumerate(manifest.category_names) if i not in measured)
    return Evaluation(
        model=manifest.name,
        version=manifest.version,
        description=manifest.description,
        problem=manifest.problem,
        dataset=manifest.dataset,
        seed=recipe.train.seed,
        resamples=resamples,
        validation_rows=len(validation.bits),
        rows=len(natural.bits),
        categories=categories,
        unmeasured=unmeasured,
        overall=_overall(_means(sample), _class_sample(manifest.problem, natural, recipe.train.seed, resamples)),
        slices=slices(manifest, held_out.rows, test.bits, test.scores, test.flagged),
        confusion_matrix=_confusion_matrix(natural) if manifest.problem is Problem.SINGLE_LABEL else None,
        category_names=manifest.category_names,
        warnings=tuple(_warnings(categories, unmeasured)),
    )


def _thresholds(manifest: Manifest, validation: Judged) -> list[float]:
    """Where the figures of each category are taken: at its review threshold, or where F1 is highest on validation."""
    scores = calibrated(manifest.problem, [each.calibration for each in manifest.categories], validation.logits)
    return [
        best_f1(scores[:, i], validation.bits[:, i]) if category.review is None else category.review
        for i, category in enumerate(manifest.categories)
    ]


def _answers(manifest: Manifest, judged: Judged, thresholds: Sequence[float]) -> Answers:
    scores = calibrated(manifest.problem, [each.calibration for each in manifest.categories], judged.logits)
    plain = calibrated(manifest.problem, [PLAIN] * len(thresholds), judged.logits)
    flagged = scores >= np.array(thresholds)
    if manifest.problem is Problem.SINGLE_LABEL:
        flagged = scores.argmax(axis=1)[:, None] == np.arange(len(thresholds))
    return Answers(judged.bits, plain, scores, flagged)


def _figures(answers: Answers, categories: Sequence[int]) -> Figures:
    """The figures of several categories side by side, so that each resample measures all of them on the same texts."""
    parts = [category_figures(answers.bits[:, i], answers.scores[:, i], answers.flagged[:, i]) for i in categories]
    return lambda weights: np.concatenate([figures(weights) for figures in parts], axis=1)


def _estimates(sample: Sample, place: int) -> dict[str, Estimate]:
    """The figures of the category at `place` among the measured ones, by name."""
    first = place * len(CATEGORY_FIGURES)
    return {
        name: estimate(sample.found[first + i], sample.resampled[:, first + i])
        for i, name in enumerate(CATEGORY_FIGURES)
    }


def _means(sample: Sample) -> dict[str, Estimate]:
    """The figures' means over the measured categories; a resample counts where all of them could be measured."""
    width = len(CATEGORY_FIGURES)
    return {
        name: estimate(sample.found[i::width].mean(), sample.resampled[:, i::width].mean(axis=1))
        for i, name in enumerate(CATEGORY_FIGURES)
    }


def _class_sample(problem: Problem, answers: Answers, seed: int, resamples: int) -> dict[str, Estimate]:
    """Accuracy, macro-F1 and Matthews' coefficient where each text is of exactly one class."""
    if problem is Problem.MULTI_LABEL:
        return {}
    true, predicted, classes = _classes(problem, answers)
    sample = measure(class_figures(true, predicted, classes), len(true), seed, resamples)
    return {name: estimate(sample.found[i], sample.resampled[:, i]) for i, name in enumerate(CLASS_FIGURES)}


def _classes(problem: Problem, answers: Answers) -> tuple[Counts, Counts, int]:
    """The true and the predicted class of each text, and how many classes there are."""
    if problem is Problem.BINARY:
        known = ~np.isnan(answers.bits[:, 0])
        return answers.bits[known, 0].astype(int), answers.flagged[known, 0].astype(int), 2
    return np.nanargmax(answers.bits, axis=1), answers.flagged.argmax(axis=1), answers.bits.shape[1]


def _overall(means: Mapping[str, Estimate], classes: Mapping[str, Estimate]) -> Overall:
    return Overall(
        mean_roc_auc=means["roc_auc"],
        mean_average_precision=means["average_precision"],
        macro_f1=classes.get("macro_f1", means["f1"]),
        accuracy=classes.get("accuracy"),
        matthews=classes.get("matthews"),
    )


def _category(
    recipe: Recipe,
    category: Category,
    index: int,
    threshold: float,
    validation: Answers,
    test: Answers,
    estimates: Mapping[str, Estimate],
) -> CategoryEvaluation:
    target = recipe.targets.get(category.name)
    bits, scores = test.bits[:, index], test.scores[:, index]
    seen_bits, seen_scores = validation.bits[:, index], validation.scores[:, index]
    chosen = outcome(seen_bits, seen_scores >= threshold, threshold)
    before, after = reliability(bits, test.plain[:, index]), reliability(bits, scores)
    return CategoryEvaluation(
        name=category.name,
        acts=category.review is not None,
        calibration=category.calibration,
        target=target,
        validation=chosen,
        reached=None if target is None else chosen.precision >= target.review_precision - 1e-9,
        block_validation=_blocked(category, seen_bits, seen_scores),
        block=_blocked(category, bits, scores),
        test=outcome(bits, test.flagged[:, index], threshold),
        at_threshold=outcome(bits, scores >= threshold, threshold),
        calibration_error_before=calibration_error(before),
        calibration_error=calibration_error(after),
        curve=curve(bits, scores),
        reliability_before=before,
        reliability=after,
        histogram=histogram(bits, scores),
        confusion=tuple(outcome(bits, scores >= step, step) for step in THRESHOLDS),
        **estimates,
    )


def _blocked(category: Category, bits: Floats, scores: Floats) -> Outcome | None:
    return None if category.block is None else outcome(bits, scores >= category.block, category.block)


def _confusion_matrix(answers: Answers) -> tuple[tuple[int, ...], ...]:
    true, predicted, classes = _classes(Problem.SINGLE_LABEL, answers)
    counts = np.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)
    return tuple(tuple(row) for row in counts.tolist())


def _warnings(categories: Sequence[CategoryEvaluation], unmeasured: Sequence[str]) -> Iterator[str]:
    """What a reader of the figures should not miss, a sentence each."""
    for name in unmeasured:
        yield f"{name}: the held-out texts are of one class only, so nothing could be measured"
    for each in categories:
        if each.target is not None and not each.reached:
            yield (
                f"{each.name}: no threshold reached a precision of {each.target.review_precision:.2f} on validation; "
                f"review begins where F1 was highest, at a precision of {each.validation.precision:.2f}"
            )
        if each.target is not None and each.target.block_precision is not None and each.block is None:
            yield (
                f"{each.name}: no threshold reached a precision of {each.target.block_precision:.2f} on enough "
                "texts of validation, so nothing is blocked"
            )
        if each.calibration_error > HIGHEST_CALIBRATION_ERROR:
            yield (
                f"{each.name}: the expected calibration error is {each.calibration_error:.3f}, above "
                f"{HIGHEST_CALIBRATION_ERROR}; its scores are not probabilities"
            )
