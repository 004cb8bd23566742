"""What an evaluation found, as plain data: `metrics.json` holds it, and the card and the report are written from it."""

from pathlib import Path

import msgspec

from moderato.artifact import Calibration, DatasetRecord, Problem
from training.config import Target


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A figure on the held-out texts, with its 95 % bootstrap interval."""

    value: float
    interval: tuple[float, float] | None = None
    """None where no resample could be measured."""
    skipped: int = 0
    """Resamples left out because they held texts of one class only."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a threshold does to a split: how many texts it calls for, and how many of them rightly."""

    threshold: float
    rows: int
    positives: int
    flagged: int
    right: int

    @property
    def precision(self) -> float:
        """The share of the flagged texts that are positive; 0 where none is flagged."""
        return self.right / max(self.flagged, 1)

    @property
    def recall(self) -> float:
        """The share of the positive texts that are flagged; 0 where there is none."""
        return self.right / max(self.positives, 1)

    @property
    def false_positive_rate(self) -> float:
        """The share of the negative texts that are flagged; 0 where there is none."""
        return (self.flagged - self.right) / max(self.rows - self.positives, 1)


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A precision-recall curve, thinned; the points belong together by their position, from high thresholds to low."""

    thresholds: tuple[float, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """The texts whose scores lie between `low` and `high`: what the scores say of them, and what is so."""

    low: float
    high: float
    texts: int
    mean_score: float
    positive_share: float


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """How many texts have scores in each of so many bins of equal width from 0 to 1, by what they are."""

    negatives: tuple[int, ...]
    positives: tuple[int, ...]


class CategoryEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One category: how it was set on validation, and what it shows on the held-out texts."""

    name: str
    acts: bool
    """Whether it calls for review; the figures of one that does not are taken where F1 was highest on validation."""
    calibration: Calibration
    target: Target | None
    validation: Outcome
    """What the threshold of the figures does on validation, where it was chosen."""
    reached: bool | None
    """Whether validation reached the target's precision for review; None without a target."""
    block_validation: Outcome | None
    block: Outcome | None
    """What the block threshold does on the held-out texts; None where nothing is blocked."""
    test: Outcome
    """What the threshold, or in a single-label model the highest score, does on the held-out texts."""
    at_threshold: Outcome
    """What the threshold does on the held-out texts; in a multi-label or binary model the same as `test`."""
    roc_auc: Estimate
    average_precision: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    false_positive_rate: Estimate
    calibration_error_before: float
    calibration_error: float
    curve: Curve
    reliability_before: tuple[Bin, ...]
    reliability: tuple[Bin, ...]
    histogram: Histogram
    confusion: tuple[Outcome, ...]
    """By threshold, from 0.05 to 0.95."""


class Overall(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the model as a whole."""

    mean_roc_auc: Estimate
    mean_average_precision: Estimate
    macro_f1: Estimate
    """Over the categories; in a binary model over both of its classes."""
    accuracy: Estimate | None = None
    """None in a multi-label model."""
    matthews: Estimate | None = None
    """Matthews' correlation coefficient (Gorodkin 2004 for more than two classes); None in a multi-label model."""


class SliceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One category on the texts of a slice."""

    outcome: Outcome
    roc_auc: float | None
    """None where the slice holds one class only."""


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the held-out texts, picked by what they look like or where they come from."""

    kind: str
    """What it is picked by: `all`, `length`, `form` or `source`."""
    name: str
    rows: int
    mean_roc_auc: float | None
    """Over the categories that have both classes here."""
    accuracy: float | None
    """Of a single-label model."""
    any_category: Outcome | None
    """Any acting category against any of their labels; None in a single-label model."""
    categories: dict[str, SliceFigures]


class TermBias(msgspec.Struct, frozen=True, kw_only=True):
    """How texts that name one identity are scored (the AUCs are of Borkan et al. 2019)."""

    term: str
    rows: int
    false_positive_rate: float
    """The share of the friendly texts with the term that are flagged."""
    subgroup_auc: float | None = None
    """Within the texts with the term."""
    bpsn_auc: float | None = None
    """Background positive, subgroup negative: low where friendly texts with the term score too high."""
    bnsp_auc: float | None = None
    """Background negative, subgroup positive: low where abusive texts with the term score too low."""


class Bias(msgspec.Struct, frozen=True, kw_only=True):
    """Bias by identity term of one category."""

    category: str
    data: str
    """What it was measured on, and what does not show in it."""
    terms: tuple[TermBias, ...]

    @property
    def mean_false_positive_rate(self) -> float:
        """The mean over the terms."""
        return sum(term.false_positive_rate for term in self.terms) / max(len(self.terms), 1)

    @property
    def gap(self) -> float:
        """The false-positive rate of the worst term minus that of the best."""
        rates = [term.false_positive_rate for term in self.terms]
        return max(rates) - min(rates) if rates else 0.0


class Trick(msgspec.Struct, frozen=True, kw_only=True):
    """What one family of character tricks does to texts."""

    family: str
    is_trained: bool = False
    """Whether training rows were disguised by it."""
    abusive_texts: int
    """Texts that are flagged undisguised."""
    still_flagged: float
    """Share of them that is flagged disguised."""
    friendly_texts: int
    """Texts that are not flagged undisguised."""
    newly_flagged: float
    """Share of them that is flagged disguised."""


class Robustness(msgspec.Struct, frozen=True, kw_only=True):
    """Texts under character tricks."""

    data: str
    """What it was measured on, and what does not show in it."""
    tricks: tuple[Trick, ...]

    @property
    def mean_still_flagged(self) -> float:
        """The mean over the families."""
        return sum(trick.still_flagged for trick in self.tricks) / max(len(self.tricks), 1)

    @property
    def mean_newly_flagged(self) -> float:
        """The mean over the families."""
        return sum(trick.newly_flagged for trick in self.tricks) / max(len(self.tricks), 1)


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A finding with a table of its own: OLID's levels, ROUGE, quantization."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured of a model."""

    model: str
    version: str
    description: str
    problem: Problem
    dataset: DatasetRecord
    seed: int
    resamples: int
    validation_rows: int
    rows: int
    """Held-out texts of the natural mix of classes, which every figure but those by source is taken on."""
    categories: tuple[CategoryEvaluation, ...]
    unmeasured: tuple[str, ...] = ()
    """Categories whose held-out texts are of one class only, so that nothing could be measured."""
    overall: Overall
    slices: tuple[Slice, ...]
    confusion_matrix: tuple[tuple[int, ...], ...] | None = None
    """(true category, category with the highest score) of a single-label model."""
    category_names: tuple[str, ...]
    """In output order: the names of the confusion matrix's rows and columns."""
    warnings: tuple[str, ...] = ()
    bias: tuple[Bias, ...] = ()
    robustness: Robustness | None = None
    tables: tuple[Table, ...] = ()


def write_metrics(evaluation: Evaluation, path: Path) -> None:
    """Write what was found as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(evaluation), indent=1) + b"\n")


def read_metrics(path: Path) -> Evaluation:
    """Read what `write_metrics` wrote. Raises msgspec.ValidationError when it is something else."""
    return msgspec.json.decode(path.read_bytes(), type=Evaluation)
