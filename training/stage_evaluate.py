"""The stage after training: champion against challenger by the gate of `moderato promote`, and the evidence of it."""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from moderato.artifact import DatasetRecord, Problem, load_manifest
from training.folders import emptied
from training.gate import Comparison, Contestant, Figure, Verdict
from training.model_archive import find_model
from training.promote import FULL, Sampling, compare, report, verdict
from training.stage_files import COMPARISON, EVALUATION, REPORT, STATISTICS

LONGEST_REASON = 900
"""Characters: what a job and a failed step tell ends at 1,024."""

_STATISTICS_OF = {
    Problem.BINARY: "binary_classification_metrics",
    Problem.SINGLE_LABEL: "multiclass_classification_metrics",
    Problem.MULTI_LABEL: "multiclass_classification_metrics",
}
"""The groups of figures that SageMaker's registry draws; it has none for several labels at once."""


class Measured(msgspec.Struct, frozen=True):
    """One figure of both models."""

    champion: float | None
    challenger: float | None
    passed: bool


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """`evaluation.json`: what a pipeline decides by."""

    promoted: bool
    reason: str
    """Why not, in at most 900 characters; empty where it is promoted."""
    metrics: dict[str, Measured]
    """By the figure's name in small letters, words joined by underscores."""
    champion: Contestant
    challenger: Contestant
    dataset: DatasetRecord
    """Whose frozen test set and held-out corrections both were measured on."""

    def sentence(self) -> str:
        """Return how it ended, for a person."""
        challenger, champion = (f"{each.name} {each.version}" for each in (self.challenger, self.champion))
        return f"{challenger} is better than {champion}." if self.promoted else self.reason


def evaluate(
    champion: Path,
    challenger: Path,
    dataset: Path,
    output: Path,
    sources: Path | None = None,
    sampling: Sampling = FULL,
) -> Evaluation:
    """Compare two models, each a folder with its files or with one model.tar.gz, and write what was found to `output`.

    A worse challenger is a finding, not an error. Raises UnusableModel, BrokenModel or CannotCompare in one sentence.
    """
    with tempfile.TemporaryDirectory() as space:
        old, new = find_model(champion, Path(space, "champion")), find_model(challenger, Path(space, "challenger"))
        comparison = compare(old, new, dataset, sources=sources, sampling=sampling)
        problem = load_manifest(new).problem
    found = verdict(comparison)
    evaluation = Evaluation(
        promoted=found.promoted,
        reason=_reason(found),
        metrics=metrics_of(comparison.figures),
        champion=comparison.champion,
        challenger=comparison.challenger,
        dataset=comparison.dataset,
    )
    _write(output, comparison, found, evaluation, problem)
    return evaluation


def metrics_of(figures: Sequence[Figure]) -> dict[str, Measured]:
    """Return the figures by names that a JSON path can spell; of two that share one the second gets a number."""
    found: dict[str, Measured] = {}
    for figure in figures:
        slug = re.sub(r"[^a-z0-9]+", "_", figure.name.lower()).strip("_")
        name = next(each for each in _numbered(slug) if each not in found)
        found[name] = Measured(figure.champion, figure.challenger, figure.passed)
    return found


def _numbered(slug: str) -> Iterator[str]:
    yield slug
    yield from (f"{slug}_{number}" for number in range(2, 1_000))


def _reason(found: Verdict) -> str:
    """All reasons in one text; where they are too long, as many as there is room for and how many there are more."""
    whole = " ".join(found.reasons)
    if len(whole) <= LONGEST_REASON:
        return whole
    kept: list[str] = []
    for reason in found.reasons:
        more = f" And {len(found.reasons) - len(kept) - 1} more: {REPORT}."
        if len(" ".join([*kept, reason])) + len(more) > LONGEST_REASON:
            break
        kept.append(reason)
    return " ".join([*kept, f"And {len(found.reasons) - len(kept)} more: {REPORT}."])


def _write(output: Path, comparison: Comparison, found: Verdict, evaluation: Evaluation, problem: Problem) -> None:
    emptied(output)
    outcome = {"promoted": found.promoted, "reasons": found.reasons}
    (output / REPORT).write_text(report(comparison), encoding="utf-8")
    (output / COMPARISON).write_bytes(_json(msgspec.to_builtins(comparison) | outcome))
    (output / STATISTICS).write_bytes(_json(_statistics(evaluation.metrics, problem)))
    (output / EVALUATION).write_bytes(_json(evaluation))  # last: who sees it, sees all


def _statistics(metrics: Mapping[str, Measured], problem: Problem) -> Mapping[str, object]:
    """The challenger's figures in the form that SageMaker's registry shows."""
    figures = {
        name: {"value": each.challenger, "standard_deviation": "NaN"}
        for name, each in metrics.items()
        if each.challenger is not None
    }
    return {"version": 0.0, _STATISTICS_OF[problem]: figures}


def _json(content: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"
