"""What people read of promotions on a terminal: a comparison, the champion, and how it came to be."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from local.champion import Champion
from local.promotion import Comparison, Event, Figure
from local.tables import printable

_OUTCOMES = {True: "better", False: "not better"}


def comparison_table(comparison: Comparison) -> Table:
    """Return every figure of champion and challenger, a line each."""
    table = Table("figure", "champion", "challenger", "asked for", "texts", "", box=None, pad_edge=False)
    for column in (1, 2, 4):
        table.columns[column].justify = "right"
    for figure in comparison.figures:
        colour = "green" if figure.passed else "bold red"
        outcome = Text("good" if figure.passed else "not good enough", style=colour)
        rows = "" if figure.rows is None else f"{figure.rows:,}"
        table.add_row(
            Text(printable(figure.name)), _number(figure.champion), _challenger(figure), figure.limit, rows, outcome
        )
    return table


def history_table(events: Sequence[Event]) -> Table:
    """Return what was compared, promoted and rolled back, the newest first."""
    table = Table("when", "what", "model", "instead of", "outcome", box=None, pad_edge=False)
    for event in reversed(events):
        outcome = "" if event.comparison is None else _OUTCOMES[event.comparison.passed]
        names = (event.model, event.instead_of)
        called = [Text(printable(name or "the starter model")) for name in names]
        table.add_row(event.created, Text(printable(event.kind)), *called, outcome)
    return table


def champion_lines(
    name: str, version: str, directory: str, champion: Champion | None, events: Sequence[Event]
) -> RenderableType:
    """Return which model is in use, since when, and what a rollback goes back to."""
    since = printable(_since(champion, events))
    lines = [Text(printable(f"{name} {version}"), style="bold"), Text(since), Text(directory, style="dim")]
    if champion is not None:
        before = champion.previous
        called = "the model that came with Moderato" if before is None else printable(f"{before.name} {before.version}")
        lines.append(Text(f"`moderato rollback` goes back to {called}."))
    return Group(*lines)


def _since(champion: Champion | None, events: Sequence[Event]) -> str:
    origin = "It came with Moderato" if champion is None else f"Promoted {champion.promoted}"
    changes = [event for event in events if event.kind != "compared"]
    last = changes[-1] if changes else None
    if last and last.kind == "rolled back" and last.sha256 == (champion.sha256 if champion else None):
        return f"{origin}; in use again since {last.created}, by a rollback."
    if champion is not None:
        return f"In use since {champion.promoted}"
    return f"{origin}; no promoted model is in use." if changes else f"{origin}; nothing was promoted."


def _challenger(figure: Figure) -> Text:
    return Text(_number(figure.challenger), style="default" if figure.passed else "bold red")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
