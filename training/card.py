"""The card of a model: what it is for, what it was made from, how good it is and where it fails, in Markdown."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moderato.artifact import Manifest, Problem
from training.config import Recipe
from training.evaluation import CategoryEvaluation, Estimate, Evaluation

FEW_POSITIVES = 50
"""With fewer held-out texts of a category its recall is known to no better than 15 points either way."""

_LOSSES = {
    Problem.MULTI_LABEL: "each category is decided on its own, and labels that a source does not give were left out of the loss",
    Problem.SINGLE_LABEL: "each text is of exactly one category, and scores sum to 1",
    Problem.BINARY: "a text is of the category or it is not",
}
_POOLING = {
    Problem.MULTI_LABEL: "a score is the highest of the windows",
    Problem.SINGLE_LABEL: "scores are made from the windows' mean",
    Problem.BINARY: "a score is the highest of the windows",
}


def write_card(recipe: Recipe, dataset: Mapping[str, Any], manifest: Manifest, evaluation: Evaluation) -> str:
    """The card as Markdown; `dataset` is what `training.dataset.describe` says of the dataset folder."""
    parts = [
        f"# {manifest.name} {manifest.version}",
        f"{manifest.description} Made {manifest.created[:10]} by `make train RECIPE={Path(recipe.file).stem}`.",
        _what_it_is(recipe, manifest),
        figures_section(evaluation),
        thresholds_section(evaluation),
        bias_section(evaluation),
        robustness_section(evaluation),
        _data(recipe, dataset),
        _limits(recipe, evaluation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _what_it_is(recipe: Recipe, manifest: Manifest) -> str:
    return (
        f"**Problem.** {manifest.problem.capitalize()}: {_LOSSES[manifest.problem]}.\n\n"
        f"**Encoder.** `{manifest.encoder.name}` ({manifest.encoder.licence}), {_start(manifest)}fine-tuned for up to {_count(recipe.train.epochs, 'epoch')} "
        f"at {recipe.train.max_tokens} tokens{_average(recipe, manifest)}{_second_phase(recipe)}. Exported as int8 ONNX. It reads any text in windows of "
        f"{manifest.window_tokens} tokens that overlap by {manifest.overlap_tokens}; {_POOLING[manifest.problem]}."
    )


def _start(manifest: Manifest) -> str:
    if manifest.parent is None:
        return ""
    return f"taken from the model whose manifest has the digest `{manifest.parent[:12]}` and further "


def _average(recipe: Recipe, manifest: Manifest) -> str:
    if manifest.parent is None or recipe.train.share == 1:
        return ""
    return f"; the weights are the weighted mean of both, {recipe.train.share:.0%} of it the new ones"


def _second_phase(recipe: Recipe) -> str:
    if recipe.blend is None:
        return ""
    return (
        f", then once on {recipe.blend.blends:,} blends (abuse among harmless sentences) and {recipe.blend.rows:,} plain rows; "
        f"the weights are the weighted mean of both, {recipe.blend.share:.0%} of it the second"
    )


def figures_section(evaluation: Evaluation) -> str:
    """The figures of every category with their intervals."""
    where = (
        "by the highest score"
        if evaluation.problem is Problem.SINGLE_LABEL
        else "at the threshold below, which was chosen on validation"
    )
    rows = [
        f"| {each.name} | {each.test.positives:,} of {each.test.rows:,} | {_interval(each.roc_auc, 4)} | {_interval(each.average_precision)} "
        f"| {_interval(each.precision)} | {_interval(each.recall)} | {_interval(each.f1)} |"
        for each in evaluation.categories
    ]
    return "\n".join(
        [
            "## Figures",
            "",
            (
                f"On {evaluation.rows:,} texts of the natural mix of classes, held out by a hash of the text and scored by the served scorer from the int8 graph. "
                f"Precision, recall and F1 {where}. In brackets: 95 % bootstrap intervals from {evaluation.resamples:,} resamples of the texts."
            ),
            "",
            "| category | positives | ROC AUC | average precision | precision | recall | F1 |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            _overall(evaluation),
        ]
    )


def _overall(evaluation: Evaluation) -> str:
    overall = evaluation.overall
    figures = {
        "Mean ROC AUC": overall.mean_roc_auc,
        "mean average precision": overall.mean_average_precision,
        "macro-F1": overall.macro_f1,
        "accuracy": overall.accuracy,
        "Matthews' correlation": overall.matthews,
    }
    told = ", ".join(f"{name} **{_interval(each, 4)}**" for name, each in figures.items() if each is not None)
    unmeasured = "".join(f" {name}: not measured, for want of both kinds of text." for name in evaluation.unmeasured)
    return f"{told}.{unmeasured}"


def thresholds_section(evaluation: Evaluation) -> str:
    """Thresholds, their targets, and the calibration error before and after."""
    rows = [
        f"| {each.name} | {_review(each)} | {_block(each)} | {each.calibration_error_before:.4f} | {each.calibration_error:.4f} |"
        for each in evaluation.categories
    ]
    return "\n".join(
        [
            "## Thresholds and calibration",
            "",
            (
                "A threshold is the lowest score whose precision on validation is at least the target, which gives the highest recall at that precision. "
                "Calibration error: how far scores are from the share of texts that are positive, on average over 10 bins of the held-out texts; before and after calibration."
            ),
            "",
            "| category | review from | block from | error before | error after |",
            "|---|---|---|---|---|",
            *rows,
            *_notes(evaluation),
        ]
    )


def _review(each: CategoryEvaluation) -> str:
    if not each.acts:
        return "never: it is scored, and does not act"
    threshold = f"{each.test.threshold:.4f}"
    if each.target is None:
        return threshold
    if not each.reached:
        return f"{threshold} (F1 highest; no score reached precision {each.target.review_precision:.2f})"
    return f"{threshold} (precision {each.target.review_precision:.2f})"


def _block(each: CategoryEvaluation) -> str:
    if each.block is None:
        return "never"
    target = (
        ""
        if each.target is None or each.target.block_precision is None
        else f" (precision {each.target.block_precision:.2f})"
    )
    return f"{each.block.threshold:.4f}{target}"


def _notes(evaluation: Evaluation) -> list[str]:
    return ["", *(f"- {warning}." for warning in evaluation.warnings)] if evaluation.warnings else []


def bias_section(evaluation: Evaluation) -> str:
    """Bias by identity term in short; empty where it was not measured."""
    if not evaluation.bias:
        return ""
    parts = ["## Bias by identity term"]
    for data in dict.fromkeys(each.data for each in evaluation.bias):
        rows = [
            f"| {each.category} | {len(each.terms)} | {each.mean_false_positive_rate:.1%} | {100 * each.gap:.1f} points |"
            for each in evaluation.bias
            if each.data == data
        ]
        header = [
            "| category | terms | friendly texts flagged, mean over terms | worst minus best term |",
            "|---|---|---|---|",
        ]
        parts += [data, "\n".join([*header, *rows])]
    return "\n\n".join(parts)


def robustness_section(evaluation: Evaluation) -> str:
    """What character tricks do; empty where it was not measured."""
    if evaluation.robustness is None:
        return ""
    found = evaluation.robustness
    rows = [
        f"| {trick.family} | {'yes' if trick.is_trained else 'no'} | {trick.still_flagged:.1%} | {trick.newly_flagged:.1%} |"
        for trick in found.tricks
    ]
    return "\n".join(
        [
            "## Robustness under character tricks",
            "",
            found.data,
            "",
            "| trick | seen in training | abusive texts still flagged | friendly texts newly flagged |",
            "|---|---|---|---|",
            *rows,
            f"| **mean** | | **{found.mean_still_flagged:.1%}** | **{found.mean_newly_flagged:.1%}** |",
        ]
    )


def _data(recipe: Recipe, dataset: Mapping[str, Any]) -> str:
    rows = [
        f"| {each['name']} | {each['rows']:,} | {each['origin']} | {each['licence']} |" for each in dataset["sources"]
    ]
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset["rows"].items())
    grown = dataset.get("additions", {})
    if grown:
        counts += f"; {grown['train']:,} of the training rows come from moderators, {grown['corrections']:,} more are held out"
    replay = recipe.train.replay
    read = (
        "" if replay is None else f" Of the training rows that are not from moderators, at most {replay:,} were read."
    )
    return "\n".join(
        [
            "## Data",
            "",
            f"Dataset `{dataset['name']}` version `{dataset['version']}`: {counts}. No text is in two splits.{read}",
            "",
            "| source | rows | origin | licence |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _limits(recipe: Recipe, evaluation: Evaluation) -> str:
    few = [each.name for each in evaluation.categories if each.test.positives < FEW_POSITIVES]
    limits = [
        *recipe.limits,
        *(
            [
                f"Fewer than {FEW_POSITIVES} held-out texts are positive for {', '.join(few)}: those figures may be chance."
            ]
            if few
            else []
        ),
        "A score is a statistic of texts that look alike, and no judgment of a person. Let people decide: that is what `review` is for.",
    ]
    return "\n".join(["## Limits", "", *(f"- {limit}" for limit in limits)])


def _interval(each: Estimate, digits: int = 3) -> str:
    if each.interval is None:
        return f"{each.value:.{digits}f}"
    return f"{each.value:.{digits}f} ({each.interval[0]:.{digits}f} to {each.interval[1]:.{digits}f})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
