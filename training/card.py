"""The card of a model: what it is for, what it was made from, how good it is and where it fails, in Markdown."""

from collections.abc import Mapping
from typing import Any

from moderato.artifact import Manifest
from training.config import Recipe
from training.evaluate import F1_SLACK


def write_card(
    recipe: Recipe,
    dataset: Mapping[str, Any],
    manifest: Manifest,
    calibration_errors: Mapping[str, tuple[float, float]],
) -> str:
    """The card as Markdown. `calibration_errors` are the expected calibration errors before and after calibration."""
    return (
        "\n\n".join(
            [
                f"# {manifest.name} {manifest.version}",
                f"{manifest.description} Made {manifest.created} by `make train RECIPE={recipe.name}`.",
                _what_it_is(recipe, manifest),
                _figures(manifest),
                _calibration(manifest, calibration_errors),
                _data(dataset),
                _limits(),
            ]
        )
        + "\n"
    )


def _what_it_is(recipe: Recipe, manifest: Manifest) -> str:
    return (
        f"**Encoder.** `{manifest.encoder.name}` ({manifest.encoder.licence}), fine-tuned with a masked multi-label loss "
        f"for {recipe.train.epochs} epochs at {recipe.train.max_tokens} tokens, then once on {recipe.blend.blends:,} blends (abuse among harmless sentences) and {recipe.blend.rows:,} plain rows; the weights are the mean of both, {recipe.blend.share:.0%} of the second. Exported as int8 ONNX. It reads any text in windows of "
        f"{manifest.window_tokens} tokens that overlap by {manifest.overlap_tokens}; a score is the highest of the windows."
    )


def _figures(manifest: Manifest) -> str:
    rows = [
        f"| {name} | {m.positives:,} of {m.rows:,} | {m.roc_auc:.4f} | {m.average_precision:.3f} | {m.precision:.3f} | {m.recall:.3f} | {m.f1:.3f} |"
        for name, m in manifest.metrics.items()
    ]
    mean = sum(m.roc_auc for m in manifest.metrics.values()) / len(manifest.metrics)
    return "\n".join(
        [
            "## Figures",
            "",
            (
                "On texts of the natural mix of classes held out by a hash of the text, scored by the served scorer from the int8 graph. "
                "Precision, recall and F1 at the review threshold, which was chosen on validation."
            ),
            "",
            "| category | positives | ROC AUC | average precision | precision | recall | F1 |",
            "|---|---|---|---|---|---|---|",
            *rows,
            "",
            (
                f"Mean ROC AUC over the categories: **{mean:.4f}**. A category with few positives has a wide interval: "
                "with 15 positives a recall is known to about 25 points."
            ),
        ]
    )


def _calibration(manifest: Manifest, errors: Mapping[str, tuple[float, float]]) -> str:
    rows = [
        f"| {c.name} | {c.review:.4f} | {'none' if c.block is None else format(c.block, '.4f')} "
        f"| {errors[c.name][0]:.4f} | {errors[c.name][1]:.4f} |"
        for c in manifest.categories
    ]
    return "\n".join(
        [
            "## Thresholds and calibration",
            "",
            (
                f"Review begins at the lowest score whose F1 was within {F1_SLACK} of the highest on validation, block where its precision reached the recipe's `block_precision` (none: it did not, "
                "or on too few texts). Expected calibration error (10 bins, held-out texts) before and after Platt scaling."
            ),
            "",
            "| category | review | block | error before | error after |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def _data(dataset: Mapping[str, Any]) -> str:
    rows = [f"| {s['name']} | {s['rows']:,} | {s['origin']} | {s['licence']} |" for s in dataset["sources"]]
    counts = ", ".join(f"{count:,} {split}" for split, count in dataset["rows"].items())
    return "\n".join(
        [
            "## Data",
            "",
            f"Dataset `{dataset['name']}` version `{dataset['version']}`: {counts}. No text is in two splits.",
            "",
            "| source | rows | origin | licence |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _limits() -> str:
    return "\n".join(
        [
            "## Limits",
            "",
            "- English only. Most of the training text is from Wikipedia talk pages, news comments and Twitter before 2019.",
            "- It does not judge sexual content, self-harm or graphic violence: there was no data for them.",
            "- Texts that name identities can score higher than they should; quotes and reclaimed words too. Let people decide: that is what `review` is for.",
            "- Stars inside words and tricks that nobody has tried yet can hide an insult.",
        ]
    )
