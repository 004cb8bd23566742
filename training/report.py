"""The report of an evaluation: `report.html`, one file for a browser, and `report.md` with its plots beside it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from moderato.artifact import Problem
from training import plots
from training.card import bias_section, figures_section, robustness_section, thresholds_section
from training.evaluation import CategoryEvaluation, Estimate, Evaluation, Outcome, Slice, Table

TEMPLATES = Path(__file__).parent
TEMPLATE = "report.html.jinja"

ThresholdRow = tuple[str, str, float | None, Outcome | None, Outcome | None]
"""Category, action, target precision, and what the threshold does on validation and on the held-out texts."""


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write the report's two forms to `folder` and return the one for a browser."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_markdown(evaluation, folder)
    page = folder / "report.html"
    page.write_text(_page(evaluation), encoding="utf-8")
    return page


def _page(evaluation: Evaluation) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True
    )
    environment.filters |= {
        "cell": _cell,
        "figure": _figure,
        "groupby_kind": _by_kind,
        "interval": _interval,
        "percent": lambda share: f"{share:.1%}",
        "shortfall": lambda area: 0 if area is None else round(min(1.0, max(0.0, (1 - area) / 0.25)), 3),
    }
    page: str = environment.get_template(TEMPLATE).render(
        evaluation=evaluation,
        is_single_label=evaluation.problem is Problem.SINGLE_LABEL,
        headline=list(_headline(evaluation)),
        thresholds=[row for each in evaluation.categories for row in _threshold_rows(each)],
        skipped=", ".join(_skipped(evaluation)),
        legends={
            kind: [(plots.COLOURS[colour], name) for colour, name in legend] for kind, legend in plots.LEGENDS.items()
        },
        panel=lambda kind, category: _inline(plots.panel(kind, category)),
        bias_plot=lambda found: _inline(plots.bias(found)),
        plots={name: _inline(svg) for name, svg in _whole_plots(evaluation).items()},
    )
    return page


def _inline(svg: str) -> Markup:
    # matplotlib escapes the texts that it draws.
    return Markup(plots.themed(svg))  # noqa: S704


def _whole_plots(evaluation: Evaluation) -> dict[str, str]:
    """The plots that show all categories at once, by name."""
    drawn = {"intervals": plots.intervals(evaluation), "slices": plots.slice_figures(evaluation)}
    if evaluation.confusion_matrix is not None:
        drawn["confusion"] = plots.confusion_matrix(evaluation.category_names, evaluation.confusion_matrix)
    if evaluation.robustness is not None:
        drawn["robustness"] = plots.robustness(evaluation.robustness)
    return drawn


def _headline(evaluation: Evaluation) -> Iterator[tuple[str, str, str]]:
    """The figures that come first: name, value, and what stands beside it."""
    overall = evaluation.overall
    for name, found in (
        ("Mean ROC AUC", overall.mean_roc_auc),
        ("Accuracy", overall.accuracy),
        ("Macro-F1", overall.macro_f1),
        ("Matthews' correlation", overall.matthews),
    ):
        if found is not None:
            yield name, f"{found.value:.4f}", _interval(found)
    worst = max(evaluation.categories, key=lambda each: each.calibration_error)
    yield "Largest calibration error", f"{worst.calibration_error:.4f}", worst.name
    if evaluation.bias:
        widest = max(evaluation.bias, key=lambda each: each.gap)
        yield "Gap between identity terms", f"{100 * widest.gap:.1f} points", widest.category
    if evaluation.robustness is not None:
        share = evaluation.robustness.mean_still_flagged
        yield "Flagged when disguised", f"{share:.1%}", f"{len(evaluation.robustness.tricks)} families of tricks"


def _threshold_rows(each: CategoryEvaluation) -> Iterator[ThresholdRow]:
    # In a single-label model the highest score decides what `test` counts; its threshold is one for acting.
    target = each.target
    review = "review" if each.acts else "none"
    yield each.name, review, None if target is None else target.review_precision, each.validation, each.at_threshold
    if target is not None and target.block_precision is not None:
        yield each.name, "block", target.block_precision, each.block_validation, each.block


def _skipped(evaluation: Evaluation) -> Iterator[str]:
    for each in evaluation.categories:
        if each.roc_auc.skipped:
            yield f"{each.name}: {each.roc_auc.skipped}"


def _by_kind(slices: Sequence[Slice]) -> list[tuple[str, list[Slice]]]:
    kinds = dict.fromkeys(each.kind for each in slices)
    return [(kind, [each for each in slices if each.kind == kind]) for kind in kinds]


def _interval(found: Estimate) -> str:
    return "no interval" if found.interval is None else f"{found.interval[0]:.3f} to {found.interval[1]:.3f}"


def _figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _cell(value: str | int | float | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}".rstrip("0").rstrip(".")


def _write_markdown(evaluation: Evaluation, folder: Path) -> None:
    drawn = {kind: plots.sheet(kind, evaluation.categories) for kind in plots.PANELS} | _whole_plots(evaluation)
    drawn |= {f"bias-{number}": plots.bias(found) for number, found in enumerate(evaluation.bias, start=1)}
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    parts = [
        f"# {evaluation.model} {evaluation.version}: evaluation",
        evaluation.description,
        figures_section(evaluation),
        _image("intervals", "ROC AUC, average precision and F1 with their intervals"),
        thresholds_section(evaluation),
        _image("reliability", "Reliability before and after calibration"),
        "## Precision and recall",
        _image("precision-recall", "Precision-recall curves with their thresholds"),
        _image("by-threshold", "Precision, recall and F1 by threshold"),
        *(_confusion_section(each) for each in evaluation.categories),
        "## Scores",
        _image("scores", "How the scores of negative and positive texts are spread"),
        *(["## Confusion", _image("confusion", "Confusion matrix")] if "confusion" in drawn else []),
        _slices_section(evaluation),
        bias_section(evaluation),
        *(_image(f"bias-{n}", f"Bias by term: {found.category}") for n, found in enumerate(evaluation.bias, start=1)),
        robustness_section(evaluation),
        *([_image("robustness", "Robustness by trick")] if "robustness" in drawn else []),
        *(_table_section(table) for table in evaluation.tables),
    ]
    (folder / "report.md").write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _image(name: str, what: str) -> str:
    return f"![{what}]({name}.svg)"


def _confusion_section(each: CategoryEvaluation) -> str:
    header = ("threshold", "true positive", "false positive", "false negative", "true negative", "precision", "recall")
    rows = [
        (
            f"{row.threshold:.2f}", row.right, row.flagged - row.right, row.positives - row.right,
            row.rows - row.positives - row.flagged + row.right,
            _figure(row.precision if row.flagged else None), _figure(row.recall),
        )
        for row in each.confusion
    ]  # fmt: skip
    table = _table(header, rows)
    return f"<details><summary>{each.name}: counts at {len(rows)} thresholds</summary>\n\n{table}\n\n</details>"


def _slices_section(evaluation: Evaluation) -> str:
    rows: list[Sequence[str | int | float | None]] = []
    for each in evaluation.slices:
        any_category = each.any_category
        rows.append(
            (
                each.name if each.kind == "all" else f"{each.kind}: {each.name}",
                each.rows,
                None if any_category is None else any_category.positives,
                _figure(each.mean_roc_auc),
                _figure(
                    each.accuracy if any_category is None else any_category.recall if any_category.positives else None
                ),
                _figure(
                    any_category.false_positive_rate
                    if any_category and any_category.rows > any_category.positives
                    else None
                ),
            )
        )
    share = "accuracy" if evaluation.problem is Problem.SINGLE_LABEL else "recall"
    table = _table(("slice", "texts", "positive", "mean ROC AUC", share, "false-positive rate"), rows)
    return f"## Slices\n\n{table}\n\n{_image('slices', 'Figures by slice')}"


def _table_section(table: Table) -> str:
    return f"## {table.title}\n\n{table.note}\n\n{_table(table.columns, table.rows)}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str | int | float | None]]) -> str:
    lines = [columns, ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
