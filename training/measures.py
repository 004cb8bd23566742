"""What a recipe asks to be measured besides its categories: levels, summaries, bias by identity term, tricks."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from moderato.policy import decide, default_policy
from moderato.scorer import Scorer
from training import bias, dataset, levels, robustness, rouge
from training.config import Recipe, RecipeError
from training.dataset import Row, content_hash
from training.evaluate import Complete, HeldOut
from training.evaluation import Bias, Evaluation, Robustness, Table

MEASURED_ON = {
    "new phrases": "Phrases that were not trained on, though their templates and terms were: says little.",
    "new terms": "Phrases about terms that no template in training had.",
    "new templates": "Phrases of templates that were not trained on, about terms that were.",
    "our own sentences": "Sentences written for this, unlike any training text, and seen while thresholds were chosen.",
}

MAX_DISGUISED_CHARACTERS = 400
"""Every word of a text is tried without to find the telling ones, so a long text would cost minutes."""


def measures(recipe: Recipe, dataset_folder: Path, sources: Path) -> Complete:
    """A function that adds to an evaluation what the recipe asks for. `sources` holds the public files."""

    def complete(scorer: Scorer, held_out: HeldOut, evaluation: Evaluation) -> Evaluation:
        return msgspec.structs.replace(
            evaluation,
            bias=_bias(recipe, dataset_folder, sources, scorer),
            robustness=_robustness(recipe, scorer, held_out),
            tables=(*_levels(recipe, scorer, held_out), *_summaries(recipe, dataset_folder, scorer, held_out)),
        )

    return complete


def templates_of(recipe: Recipe, sources: Path) -> Path | None:
    """The file of identity phrases, if the recipe asks for one. Raises RecipeError when it is not there."""
    if recipe.measure.identity_templates is None:
        return None
    path = sources / recipe.measure.identity_templates
    if not path.is_file():
        raise RecipeError(f"{recipe.file}: [measure] needs {path}, which is not there; put it there or remove the key")
    return path


def _levels(recipe: Recipe, scorer: Scorer, held_out: HeldOut) -> list[Table]:
    if not recipe.levels:
        return []
    judged = held_out.validation, held_out.test
    scores = [np.array([list(scorer.calibrate(logits).values()) for logits in each.logits]) for each in judged]
    # Of a level's categories the rare ones would hardly ever have the highest score.
    scales = levels.fit_scales(recipe.levels, recipe.categories, scores[0], held_out.validation.labels)
    scores = [each / scales for each in scores]
    thresholds = levels.fit_levels(recipe.levels, recipe.categories, scores[0], held_out.validation.labels)
    natural = held_out.natural
    found = levels.measure_levels(
        recipe.levels, recipe.categories, scores[1][natural], held_out.test.labels[natural], thresholds
    )
    return [levels.levels_table(found)]


def _summaries(recipe: Recipe, dataset_folder: Path, scorer: Scorer, held_out: HeldOut) -> list[Table]:
    if all(source.summary is None for source in recipe.sources):
        return []
    name = recipe.categories[0]
    scores = [scorer.calibrate(logits)[name] for logits in held_out.test.logits]
    documents = rouge.gather(held_out.rows, scores, name)
    share = rouge.positive_share(dataset.load(dataset_folder, "train"), name)
    found = rouge.measure_rouge(
        [each.sentences for each in documents],
        [each.scores for each in documents],
        [each.reference for each in documents],
        share,
    )
    return [found.table()]


def _bias(recipe: Recipe, dataset_folder: Path, sources: Path, scorer: Scorer) -> tuple[Bias, ...]:
    """By identity term, on templates and on sentences of our own that no training text is like."""
    asked = recipe.measure
    path = templates_of(recipe, sources)
    if path is None:
        return ()
    trained = {content_hash(row.text) for row in dataset.load(dataset_folder, "train")}
    groups = bias.subsets(bias.read_phrases(path), trained) | {"our own sentences": bias.sentences()}
    reports = {
        name: bias.measure_bias(scorer, phrases, category=asked.identity_category, at_most=asked.phrases_per_term)
        for name, phrases in groups.items()
    }
    return tuple(bias.as_evaluation(report, MEASURED_ON[name]) for name, report in reports.items() if report.terms)


def _robustness(recipe: Recipe, scorer: Scorer, held_out: HeldOut) -> Robustness | None:
    """On held-out texts that are rightly flagged, and as many that are rightly allowed."""
    if not recipe.measure.tricks:
        return None
    policy = default_policy(scorer.manifest)
    natural = [
        (row, decide(scorer.calibrate(logits), policy).is_flagged)
        for row, logits, is_natural in zip(held_out.rows, held_out.test.logits, held_out.natural, strict=True)
        if is_natural and len(row.text) <= MAX_DISGUISED_CHARACTERS
    ]
    abusive = [row.text for row, flagged in natural if flagged and _is_harmful(row)][: recipe.measure.tricks]
    friendly = [row.text for row, flagged in natural if not flagged and not _is_harmful(row)][: recipe.measure.tricks]
    found = robustness.measure_robustness(scorer, abusive, friendly, recipe.train.seed)
    return Robustness(
        data=f"Held-out texts of the natural mix of at most {MAX_DISGUISED_CHARACTERS} characters that the model gets "
        "right undisguised; of each, the two most telling words are disguised.",
        tricks=tuple(found),
    )


def _is_harmful(row: Row) -> bool:
    return any((label or 0) >= 0.5 for label in row.labels.values())


def mean_of(evaluations: Sequence[Evaluation]) -> Table:
    """Several seeds side by side: each figure of the overall and of the tables, its mean and its range."""
    by_name: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for name, value in figures_of(evaluation):
            by_name.setdefault(name, []).append(value)
    return Table(
        title="Seeds",
        note=f"{len(evaluations)} runs that differ in their seed only.",
        columns=("figure", "mean", "lowest", "highest"),
        rows=tuple(
            (name, round(sum(values) / len(values), 4), round(min(values), 4), round(max(values), 4))
            for name, values in by_name.items()
        ),
    )


def figures_of(evaluation: Evaluation) -> list[tuple[str, float]]:
    """The figures of the overall and of the tables, by name."""
    overall = [
        (name.replace("_", " "), found["value"])
        for name, found in msgspec.to_builtins(evaluation.overall).items()
        if isinstance(found, dict)
    ]
    tables = [
        (str(row[0]), float(value))
        for table in evaluation.tables
        for row in table.rows
        if (value := next((cell for cell in row[1:] if isinstance(cell, float)), None)) is not None
    ]
    return [*overall, *tables]
