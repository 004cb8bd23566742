"""What people read of drift: a table of categories, the rates, and where the scores went, on a terminal or as SVG."""

import math
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import pairwise

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

from local.tables import printable
from moderato.agreement import Share
from moderato.decisions import ModelName
from moderato.drift import CategoryDrift, Drift, Rate

SVG_COLUMNS = 80


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What is told of drift: of which model and decisions, compared with what, and what was found."""

    model: ModelName
    against: str
    """`model`, for the texts that it was measured on; else from when the platform's own baseline is."""
    reference_texts: int
    days: int
    decisions: int
    drifts: bool
    found: Drift


_BAR_CHARACTERS = 18
_BIN_CHARACTERS = 19
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_REFERENCE, _RECENT = "cyan", "yellow"

# Rich's own has its font fetched from a server whenever somebody opens the picture.
_SVG = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
<rect width="{width}" height="{height}" fill="#ffffff" />
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def drift_report(report: Report) -> RenderableType:
    """Return all of it, with a plot for each category that drifts, the largest index first."""
    found = report.found
    drifting = sorted(found.drifting, key=lambda each: -each.index)
    return Group(
        *_title(report),
        Text(),
        _categories_table(found.categories),
        Text(),
        _rates_table(found),
        *(part for each in drifting for part in (Text(), distribution_plot(each))),
    )


def distribution_plot(found: CategoryDrift) -> RenderableType:
    """Return a category's two distributions side by side: a row a bin, and a bar the longer the more of the texts."""
    most = max(*found.reference.shares, *found.recent.shares)
    table = Table(
        Column("score", justify="right", no_wrap=True, min_width=_BIN_CHARACTERS),
        Column(Text("reference", style=_REFERENCE), no_wrap=True, min_width=_BAR_CHARACTERS),
        Column("", justify="right", no_wrap=True),
        Column(Text("recently", style=_RECENT), no_wrap=True, min_width=_BAR_CHARACTERS),
        Column("", justify="right", no_wrap=True),
        box=None,
        pad_edge=False,
    )
    for label, before, now in zip(_bins(found), found.reference.shares, found.recent.shares, strict=True):
        bars = Text(_bar(before / most), style=_REFERENCE), Text(_bar(now / most), style=_RECENT)
        table.add_row(label, bars[0], f"{before:.1%}", bars[1], f"{now:.1%}")
    title = Text(f"{printable(found.category)}: where its scores are", style="bold")
    return Group(title, table)


def to_svg(report: Report) -> str:
    """Return a report as a picture that needs nothing else, no font either."""
    console = Console(
        record=True, width=SVG_COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor", no_color=False
    )
    console.print(drift_report(report))
    return console.export_svg(title="moderato drift", theme=DEFAULT_TERMINAL_THEME, code_format=_SVG)


def _title(report: Report) -> list[Text]:
    name = printable(f"{report.model.name} {report.model.version}")
    standing = f"{report.decisions:,} decisions, which tell as much as {report.found.effective_texts:,.0f} texts"
    texts = f"{report.reference_texts:,}"
    reference = (
        f"the {texts} held-out texts that the model was measured on"
        if report.against == "model"
        else f"this platform's own baseline of {printable(report.against)[:10]}, {texts} texts"
    )
    return [
        Text(f"{name}: the last {report.days} days", style="bold"),
        Text(f"{standing}."),
        Text(f"Compared with {reference}."),
    ]


def _categories_table(categories: Sequence[CategoryDrift]) -> Table:
    table = Table(Column("category", no_wrap=True), box=None, pad_edge=False)
    for name in ("PSI", "drift above", "mean before", "now", "flagged before", "now"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    for each in categories:
        before, now = each.reference, each.recent
        verdict = Text("drifts", style="bold red") if each.drifts else Text("stable", style="green")
        figures = [f"{each.index:.3f}", f"{each.highest:.2f}", f"{before.mean:.3f}", f"{now.mean:.3f}"]
        shares = [f"{before.flag_rate:.1%}", f"{now.flag_rate:.1%}"]
        table.add_row(Text(printable(each.category)), *figures, *shares, verdict)
    return table


def _rates_table(drift: Drift) -> Table:
    table = Table("", "reference", "recently", Column("of", justify="right"), "", box=None, pad_edge=False)
    for name, rate in (("texts flagged", drift.flag_rate), ("flags overturned", drift.reversal_rate)):
        count = 0 if rate.recent is None else rate.recent.count
        table.add_row(name, _share(rate.reference), _share(rate.recent), f"{count:,}", _verdict(rate))
    return table


def _verdict(rate: Rate) -> Text:
    if rate.reference is None or rate.recent is None:
        return Text()
    if not rate.differs:
        return Text("as before", style="green")
    return Text("higher" if rate.recent.share > rate.reference.share else "lower", style="bold yellow")


def _share(share: Share | None) -> str:
    if share is None:
        return "not known"
    return f"{share.share:.1%} ({share.interval.low * 100:.1f} to {share.interval.high * 100:.1f})"


def _bins(found: CategoryDrift) -> Iterator[str]:
    """Yield from which score to which each bin goes."""
    bounds = [0.0, *found.reference.edges, 1.0]
    return (f"{_score(low)} to {_score(high)}" for low, high in pairwise(bounds))


def _score(score: float) -> str:
    """Return a score with as many digits as tell it from the next edge: most texts are harmless, near 0."""
    return f"{score:.{max(2, 1 - math.floor(math.log10(score)))}f}" if score else "0.00"


def _bar(length: float) -> str:
    # What is there at all is seen.
    whole, eighths = divmod(max(round(length * _BAR_CHARACTERS * 8), int(length > 0)), 8)
    return "█" * whole + _EIGHTHS[eighths].strip()
