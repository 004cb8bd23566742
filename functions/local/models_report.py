"""What the console's page on the loop tells of models and datasets: the champion, its challengers, the versions."""

from collections.abc import Sequence
from pathlib import Path

from local import promotion
from local.champion import Champions
from local.lineage import Lineage, Version
from local.promotion import Event, Figure
from moderato.artifact import Manifest
from moderato.errors import BrokenModel
from moderato.models_report import ChampionReport, ComparisonReport, DatasetReport, FigureReport, ModelsReport

SHOWN_COMPARISONS = 20


def report_models(champions: Champions, data_directory: Path, manifest: Manifest) -> ModelsReport:
    """Return the report; `manifest` is that of the model in use, which a person may have named instead."""
    since = _since(champions, manifest)
    compared = [event for event in promotion.read(data_directory) if event.comparison is not None]
    return ModelsReport(
        champion=ChampionReport(name=manifest.name, version=manifest.version, since=since),
        comparisons=[_comparison(event) for event in reversed(compared[-SHOWN_COMPARISONS:])],
        datasets=_datasets(Lineage.find(data_directory, with_models=False), manifest.dataset.digest),
    )


def _since(champions: Champions, manifest: Manifest) -> str | None:
    try:
        pointer = champions.pointer()
    except BrokenModel:
        return None  # the page shows what is in use; `moderato champion` says what is wrong
    return pointer.promoted if pointer is not None and pointer.sha256 == manifest.sha256 else None


def _comparison(event: Event) -> ComparisonReport:
    found = event.comparison
    if found is None:
        raise ValueError("the event is no comparison")
    return ComparisonReport(
        challenger=event.model or "",
        when=event.created,
        outcome="better" if found.passed else "not better",
        reasons=found.reasons,
        figures=[_figure(each) for each in found.figures],
    )


def _figure(each: Figure) -> FigureReport:
    return FigureReport(
        name=each.name, champion=each.champion, challenger=each.challenger, limit=each.limit, passed=each.passed
    )


def _datasets(lineage: Lineage, in_use: str) -> list[DatasetReport]:
    """The versions of the line that the model in use comes from, and those that grew from it; the youngest first."""
    youngest = lineage.youngest(in_use)
    line = [] if youngest is None else lineage.line_of(youngest.description.digest)
    return [_dataset(version, lineage) for version in line]


def _dataset(version: Version, lineage: Lineage) -> DatasetReport:
    description = version.description
    return DatasetReport(
        name=description.name,
        version=description.version,
        parent=description.parent_name,
        rows=sum(description.rows.values()),
        labels_added=_added(version, lineage.line_of(description.digest)[1:]),
    )


def _added(version: Version, ancestors: Sequence[Version]) -> int:
    """Its labels, of which its parent had some already."""
    before = sum(ancestors[0].description.additions.values()) if ancestors else 0
    return max(0, sum(version.description.additions.values()) - before)
