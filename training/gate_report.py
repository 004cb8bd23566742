"""The report of a gate, in Markdown."""

from moderato.artifact import DatasetRecord
from training.gate import Comparison, Figure, verdict


def report(comparison: Comparison) -> str:
    """Return a comparison in Markdown: the verdict in plain sentences, then every figure."""
    old, new, found = comparison.champion, comparison.challenger, verdict(comparison)
    outcome = "may take the champion's place" if found.promoted else "is not promoted"
    lines = [
        f"# {new.name} {new.version} against {old.name} {old.version}",
        "",
        f"The challenger {outcome}.",
        *(["", "Why not:", "", *(f"- {reason}" for reason in found.reasons)] if found.reasons else []),
        "",
        "| figure | champion | challenger | asked for | texts | difference, 95 % | |",
        "|---|---|---|---|---|---|---|",
        *(_row(figure) for figure in comparison.figures),
        "",
        *(f"- {note}" for note in comparison.notes),
        f"- The texts are those of {_called(comparison.dataset)}; test.jsonl: sha256 {comparison.test_sha256[:12]}.",
        f"- Champion {old.sha256[:12]}, trained on {_called(old.dataset)}.",
        f"- Challenger {new.sha256[:12]}, trained on {_called(new.dataset)}.",
    ]
    return "\n".join(lines) + "\n"


def _called(dataset: DatasetRecord) -> str:
    return f"{dataset.name} {dataset.version}"


def _row(figure: Figure) -> str:
    interval = "" if figure.interval is None else f"{figure.interval[0]:+.4f} to {figure.interval[1]:+.4f}"
    cells = [
        figure.name,
        "" if figure.champion is None else f"{figure.champion:g}",
        "" if figure.challenger is None else f"{figure.challenger:g}",
        figure.limit,
        "" if figure.rows is None else f"{figure.rows:,}",
        interval,
        "good" if figure.passed else "**not good enough**",
    ]
    return f"| {' | '.join(cells)} |"
