"""Plots of an evaluation, as SVG: panels for a page that sets their colours, and whole sheets that stand alone."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from itertools import pairwise
from typing import Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from training.evaluation import Bias, Bin, CategoryEvaluation, Estimate, Evaluation, Robustness, Slice

INK, MUTED, GRID, PAPER = "#1b2530", "#66727f", "#dde2e7", "#ffffff"
FIRST, SECOND, THIRD = "#2b6cb0", "#c2571a", "#2a8c6e"
COLOURS = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper", FIRST: "first", SECOND: "second", THIRD: "third"}
"""What a page calls the colours: in a panel each is a variable, so that a dark page can set its own."""

PANEL_INCHES = (3.3, 2.8)
SHEET_COLUMNS = 3
_MARGIN_INCHES = (0.55, 0.08, 0.42, 0.24)  # left, right, below, above
_LEGEND_INCHES = 0.35
NUMBERED_CLASSES = 12
"""A confusion matrix of more classes than these shows shades without numbers."""

_STYLE = {
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.edgecolor": GRID,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "ytick.minor.size": 0.0,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",  # text stays text: it can be found, read aloud, and set in the page's own letters
}

_QUARTERS, _QUARTER_NAMES = (0, 0.25, 0.5, 0.75, 1), ("0", "0.25", "0.5", "0.75", "1")

Draw = Callable[[Axes, CategoryEvaluation], None]


def precision_recall(axes: Axes, category: CategoryEvaluation) -> None:
    """The precision-recall curve with its thresholds marked; the dotted line is what chance would reach."""
    _square(axes, "Recall", "Precision")
    axes.axhline(category.test.positives / max(category.test.rows, 1), color=MUTED, linewidth=1, linestyle=":")
    axes.plot(category.curve.recall, category.curve.precision, color=FIRST, linewidth=1.8)
    used = category.at_threshold
    _mark(axes, used.recall, used.precision, used.threshold, "review" if category.acts else "F1")
    if category.block is not None:
        _mark(axes, category.block.recall, category.block.precision, category.block.threshold, "block")
    _title(axes, category.name, f"average precision {category.average_precision.value:.3f}")


def calibration(axes: Axes, category: CategoryEvaluation) -> None:
    """The reliability diagram before and after calibration; bars are 95 % intervals (Wilson 1927)."""
    _square(axes, "Score", "Share that is positive")
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
    before, after = category.reliability_before, category.reliability
    axes.plot(
        [each.mean_score for each in before], [each.positive_share for each in before],
        color=SECOND, linewidth=0.9, marker="o", markersize=4, markerfacecolor=PAPER, clip_on=False,
    )  # fmt: skip
    for each in after:
        axes.plot([each.mean_score] * 2, wilson_interval(each), color=FIRST, linewidth=1, alpha=0.55)
    axes.plot(
        [each.mean_score for each in after], [each.positive_share for each in after],
        color=FIRST, linewidth=0.9, marker="o", markersize=4.5, clip_on=False,
    )  # fmt: skip
    _title(axes, category.name, f"error {category.calibration_error_before:.3f} → {category.calibration_error:.3f}")


def by_threshold(axes: Axes, category: CategoryEvaluation) -> None:
    """Precision, recall and F1 at thresholds from 0.05 to 0.95; the dotted line is the threshold in use."""
    _square(axes, "Threshold", "")
    steps = [each.threshold for each in category.confusion]
    called = [each for each in category.confusion if each.flagged]
    axes.axvline(category.test.threshold, color=MUTED, linewidth=1, linestyle=":")
    axes.plot([each.threshold for each in called], [each.precision for each in called], color=FIRST, linewidth=1.8)
    axes.plot(steps, [each.recall for each in category.confusion], color=SECOND, linewidth=1.8)
    f1 = [2 * each.right / max(each.flagged + each.positives, 1) for each in category.confusion]
    axes.plot(steps, f1, color=THIRD, linewidth=1.8)
    _title(axes, category.name, f"threshold {category.test.threshold:.3f}")


def scores(axes: Axes, category: CategoryEvaluation) -> None:
    """How many texts have which score, by what they are; the dotted line is the threshold in use."""
    edges = np.linspace(0, 1, len(category.histogram.negatives) + 1)
    axes.set_yscale("log")
    # Above 0.7, so that one text is a bar and none is not.
    for counts, colour in ((category.histogram.negatives, FIRST), (category.histogram.positives, SECOND)):
        axes.stairs(counts, edges, baseline=0.7, fill=True, color=colour, alpha=0.25, linewidth=0)
        axes.stairs(counts, edges, baseline=0.7, color=colour, linewidth=1.3)
    axes.axvline(category.test.threshold, color=MUTED, linewidth=1, linestyle=":")
    axes.set(xlim=(0, 1), xlabel="Score", ylabel="Texts")
    axes.set_xticks(_QUARTERS, _QUARTER_NAMES)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_ylim(0.7, max(*category.histogram.negatives, *category.histogram.positives) * 2)
    _title(axes, category.name, f"{category.test.positives:,} of {category.test.rows:,} positive")


PANELS: Mapping[str, Draw] = {
    "precision-recall": precision_recall,
    "reliability": calibration,
    "by-threshold": by_threshold,
    "scores": scores,
}

LEGENDS: Mapping[str, Sequence[tuple[str, str]]] = {
    "precision-recall": ((FIRST, "held-out texts"), (SECOND, "thresholds"), (MUTED, "chance")),
    "reliability": ((SECOND, "before calibration"), (FIRST, "after"), (MUTED, "perfect")),
    "by-threshold": ((FIRST, "precision"), (SECOND, "recall"), (THIRD, "F1"), (MUTED, "threshold in use")),
    "scores": ((FIRST, "negative texts"), (SECOND, "positive texts"), (MUTED, "threshold in use")),
}
"""The colours and names of what each kind of panel shows; DOTTED ones come last."""


def panel(kind: str, category: CategoryEvaluation) -> str:
    """One category's panel of a kind of PANELS."""
    with _figure(PANEL_INCHES, layout="none") as figure:
        PANELS[kind](_grid(figure, 1, 1, below=0)[0], category)
        return _svg(figure, f"{kind}-{category.name}")


def sheet(kind: str, categories: Sequence[CategoryEvaluation]) -> str:
    """The panels of all categories with a legend below."""
    columns = min(SHEET_COLUMNS, len(categories))
    rows = -(-len(categories) // columns)
    inches = (PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows + _LEGEND_INCHES)
    with _figure(inches, layout="none") as figure:
        every = _grid(figure, rows, columns, below=_LEGEND_INCHES)
        for axes, category in zip(every, categories, strict=False):
            PANELS[kind](axes, category)
        for axes in every[len(categories) :]:
            axes.remove()
        figure.legend(handles=_handles(kind), loc="lower center", ncols=len(LEGENDS[kind]), labelcolor=MUTED)
        return _svg(figure, kind)


def intervals(evaluation: Evaluation) -> str:
    """ROC AUC, average precision and F1 of every category with their bootstrap intervals."""
    kinds: list[tuple[str, Callable[[CategoryEvaluation], Estimate]]] = [
        ("ROC AUC", lambda each: each.roc_auc),
        ("Average precision", lambda each: each.average_precision),
        ("F1", lambda each: each.f1),
    ]
    categories = evaluation.categories
    with _figure((9.2, 0.6 + 0.3 * len(categories))) as figure:
        for axes, (title, of) in zip(figure.subplots(1, len(kinds), sharey=True), kinds, strict=True):
            for place, category in enumerate(categories):
                _interval(axes, place, of(category))
            axes.set_title(title, loc="left", fontsize=9, color=INK)
            axes.set_yticks(range(len(categories)), [each.name for each in categories])
            axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_ylim(len(categories) - 0.5, -0.5)
        return _svg(figure, "intervals")


def slice_figures(evaluation: Evaluation) -> str:
    """What each slice shows; the dotted line is the whole."""
    kinds = _slice_kinds(evaluation)
    places = _grouped([each.kind for each in evaluation.slices])
    names = [f"{each.name}  ({each.rows:,})" for each in evaluation.slices]
    with _figure((9.2, 0.8 + 0.25 * (places[-1] + 1))) as figure:
        for axes, (title, of) in zip(figure.subplots(1, len(kinds), sharey=True), kinds.items(), strict=True):
            values = [of(each) for each in evaluation.slices]
            for place, value in zip(places, values, strict=True):
                if value is not None:
                    axes.plot([value], [place], "o", color=FIRST, markersize=5)
                    _label(axes, value, place, f"{value:.3f}", 6)
            _roomy(axes, [value for value in values if value is not None])
            if values[0] is not None:
                axes.axvline(values[0], color=MUTED, linewidth=1, linestyle=":")
            axes.set_title(title, loc="left", fontsize=9, color=INK)
            axes.set_yticks(places, names)
        axes.set_ylim(places[-1] + 0.7, -0.7)
        return _svg(figure, "slices")


def bias(found: Bias) -> str:
    """The false-positive rate of each identity term, the highest first."""
    terms = sorted(found.terms, key=lambda each: (-each.false_positive_rate, each.term))
    with _figure((6.4, 0.7 + 0.19 * len(terms))) as figure:
        axes = figure.subplots()
        rates = [each.false_positive_rate for each in terms]
        axes.barh(range(len(terms)), rates, height=0.62, color=FIRST)
        axes.axvline(found.mean_false_positive_rate, color=MUTED, linewidth=1, linestyle=":", zorder=0.5)
        for place, rate in enumerate(rates):
            _label(axes, rate, place, f"{rate:.1%}")
        axes.set_yticks(range(len(terms)), [f"{each.term}  ({each.rows:,})" for each in terms])
        axes.set(ylim=(len(terms) - 0.4, -0.6), xlim=(0, max(*rates, 0.01) * 1.15))
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        _title(axes, found.category, f"dotted: the mean, {found.mean_false_positive_rate:.1%}")
        return _svg(figure, f"bias-{found.category}")


def robustness(found: Robustness) -> str:
    """What each family of character tricks does; families that training did not see are hollow."""
    tricks = sorted(found.tricks, key=lambda each: each.still_flagged)
    kinds = {
        "Abusive texts still flagged": [each.still_flagged for each in tricks],
        "Friendly texts newly flagged": [each.newly_flagged for each in tricks],
    }
    with _figure((9.2, 0.7 + 0.26 * len(tricks))) as figure:
        for axes, colour, (title, shares) in zip(
            figure.subplots(1, 2, sharey=True), (FIRST, SECOND), kinds.items(), strict=True
        ):
            for place, (trick, share) in enumerate(zip(tricks, shares, strict=True)):
                fill = colour if trick.is_trained else PAPER
                axes.barh(place, share, height=0.6, facecolor=fill, edgecolor=colour, linewidth=1.2)
                _label(axes, share, place, f"{share:.1%}")
            axes.set_title(title, loc="left", fontsize=9, color=INK)
            axes.set_xlim(0, 1.12 if colour == FIRST else max(*shares, 0.02) * 1.2)
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
            axes.grid(visible=False, axis="y")
            axes.set_yticks(range(len(tricks)), [each.family for each in tricks])
        axes.set_ylim(len(tricks) - 0.4, -0.6)
        return _svg(figure, "robustness")


def confusion_matrix(names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Shares of each true category's texts by the category with the highest score."""
    size = max(3.4, 0.42 * len(names)) if len(names) <= NUMBERED_CLASSES else 0.21 * len(names)
    with _figure((size + 1.4, size + 0.9)) as figure:
        axes = figure.subplots()
        for row, line in enumerate(counts):
            for column, count in enumerate(line):
                _cell(axes, row, column, count, count / max(sum(line), 1), len(names) <= NUMBERED_CLASSES)
        axes.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
        axes.set(xlabel="Highest score", ylabel="True category")
        axes.set_xticks(range(len(names)), names, rotation=90 if len(names) > 3 else 0)
        axes.set_yticks(range(len(names)), names)
        axes.grid(visible=False)
        return _svg(figure, "confusion-matrix")


def themed(svg: str) -> str:
    """A plot for a page: its colours are the page's variables, and its letters the page's."""
    inline = svg[svg.index("<svg") :]
    inline = re.sub(
        r'<svg [^>]*?viewBox="0 0 ([\d.]+) ([\d.]+)"[^>]*>',
        r'<svg viewBox="0 0 \1 \2" style="--width: \1" aria-hidden="true">',
        inline,
        count=1,
    )
    inline = re.sub(r'<g id="patch_1">.*?</g>', "", inline, count=1, flags=re.DOTALL)  # the sheet of paper
    inline = re.sub(r'<g id="[^"]*"', "<g", inline)  # the same in every plot
    for colour, name in COLOURS.items():
        inline = inline.replace(colour, f"var(--{name})")
    return inline


def wilson_interval(each: Bin) -> tuple[float, float]:
    """The 95 % interval of the share of positive texts in a bin (Wilson 1927)."""
    z, texts, share = 1.96, each.texts, each.positive_share
    middle = (share + z * z / (2 * texts)) / (1 + z * z / texts)
    spread = z / (1 + z * z / texts) * (share * (1 - share) / texts + z * z / (4 * texts * texts)) ** 0.5
    return middle - spread, middle + spread


@contextmanager
def _figure(inches: tuple[float, float], layout: Literal["constrained", "none"] = "constrained") -> Iterator[Figure]:
    """A figure in our style. No pyplot: it keeps every figure in the process's memory."""
    with mpl.rc_context(_STYLE):
        yield Figure(figsize=inches, layout=layout)


def _grid(figure: Figure, rows: int, columns: int, below: float) -> list[Axes]:
    """Axes with the same margins in every panel: to have them found for each costs half of the drawing."""
    (panel_width, panel_height), (width, height) = PANEL_INCHES, figure.get_size_inches()
    left, right, bottom, top = _MARGIN_INCHES
    figure.subplots_adjust(
        left=left / width,
        right=1 - right / width,
        bottom=(below + bottom) / height,
        top=1 - top / height,
        wspace=(left + right) / (panel_width - left - right),
        hspace=(bottom + top) / (panel_height - bottom - top),
    )
    return list(figure.subplots(rows, columns, squeeze=False).ravel())


def _svg(figure: Figure, name: str) -> str:
    # The salt makes a plot's ids its own on a page of many, and the same in every run.
    with mpl.rc_context({"svg.hashsalt": name}), StringIO() as file:
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Type", "Format")))
        return re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", file.getvalue())


def _square(axes: Axes, horizontal: str, vertical: str) -> None:
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel=horizontal, ylabel=vertical)
    axes.set_xticks(_QUARTERS, _QUARTER_NAMES)
    axes.set_yticks(_QUARTERS, _QUARTER_NAMES)


def _title(axes: Axes, left: str, right: str) -> None:
    axes.set_title(left, loc="left", fontsize=9.5, fontweight="bold", color=INK)
    axes.set_title(right, loc="right", fontsize=8, color=MUTED)


def _mark(axes: Axes, recall: float, precision: float, threshold: float, name: str) -> None:
    """A threshold on the curve; its name stands below the curve, where there is room."""
    axes.plot(
        [recall], [precision], "o", color=SECOND, markersize=6, markeredgecolor=PAPER, markeredgewidth=1, zorder=5
    )
    leftward = recall > 0.3
    axes.annotate(
        f"{name} {threshold:.2f}", (recall, precision), (-7, -11) if leftward else (0, -16), "data", "offset points",
        ha="right" if leftward else "left", fontsize=8, color=SECOND,
    )  # fmt: skip


def _interval(axes: Axes, place: int, found: Estimate) -> None:
    if found.interval is not None:
        axes.plot(found.interval, [place, place], color=FIRST, linewidth=2, alpha=0.45)
    axes.plot([found.value], [place], "o", color=FIRST, markersize=5)
    axes.annotate(
        f"{found.value:.3f}",
        (found.value, place),
        (0, 5),
        "data",
        "offset points",
        ha="center",
        fontsize=7.5,
        color=MUTED,
    )


def _slice_kinds(evaluation: Evaluation) -> dict[str, Callable[[Slice], float | None]]:
    if any(each.accuracy is not None for each in evaluation.slices):
        return {"Accuracy": lambda each: each.accuracy, "Mean ROC AUC": lambda each: each.mean_roc_auc}
    return {
        "Mean ROC AUC": lambda each: each.mean_roc_auc,
        "Recall, any category": lambda each: (
            None if each.any_category is None or not each.any_category.positives else each.any_category.recall
        ),
        "False-positive rate, any category": lambda each: (
            None
            if each.any_category is None or each.any_category.positives == each.any_category.rows
            else each.any_category.false_positive_rate
        ),
    }


def _grouped(kinds: Sequence[str]) -> list[float]:
    """A place for each slice from the top, with a gap where the kind changes."""
    gaps = np.cumsum([0, *(0.7 * (one != other) for one, other in pairwise(kinds))])
    return [float(place) for place in np.arange(len(kinds)) + gaps]


def _roomy(axes: Axes, values: Sequence[float]) -> None:
    """Limits with room for a value's label to the right."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    span = max(high - low, 0.02)
    axes.set_xlim(low - 0.1 * span, high + 0.35 * span)
    ticks = MaxNLocator(4).tick_values(low - 0.1 * span, low + span)
    shown = [tick for tick in ticks if low - 0.1 * span <= tick <= 1.0]
    axes.set_xticks(shown, [f"{tick:.3g}" for tick in shown])


def _label(axes: Axes, value: float, place: float, told: str, away: int = 4) -> None:
    axes.annotate(told, (value, place), (away, 0), "data", "offset points", va="center", fontsize=7.5, color=MUTED)


def _cell(axes: Axes, row: int, column: int, count: int, share: float, is_numbered: bool) -> None:
    if count:
        axes.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=FIRST, alpha=0.06 + 0.8 * share, linewidth=0)
        )
    if count and is_numbered:
        axes.text(column, row, f"{count:,}", ha="center", va="center", fontsize=8, color=PAPER if share > 0.55 else INK)


def _handles(kind: str) -> list[Line2D]:
    return [
        Line2D(
            [],
            [],
            color=colour,
            linewidth=2 if colour != MUTED else 1,
            linestyle=":" if colour == MUTED else "-",
            label=label,
        )
        for colour, label in LEGENDS[kind]
    ]
