"""What the loop tells of models and datasets, on its page and as JSON; whoever serves the API gathers it."""

import msgspec


class ChampionReport(msgspec.Struct, frozen=True, kw_only=True):
    """The model in use. `since` is the time of its promotion, None for the one that came with the installation."""

    name: str
    version: str
    since: str | None = None


class FigureReport(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of a comparison, measured on both models; None where it was not measured."""

    name: str
    champion: float | None
    challenger: float | None
    limit: str = ""
    """What was asked of the challenger, in words."""
    passed: bool = True


class ComparisonReport(msgspec.Struct, frozen=True, kw_only=True):
    """One challenger's comparison with the champion of its time, and what came of it."""

    challenger: str
    when: str
    outcome: str
    reasons: list[str] = []
    figures: list[FigureReport] = []


class DatasetReport(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset version; `parent` is the version that it grew from, `labels_added` what annotators added to it."""

    name: str
    version: str
    parent: str | None = None
    rows: int
    labels_added: int = 0


class ModelsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The champion, every comparison (newest first) and every dataset version (newest first)."""

    champion: ChampionReport
    comparisons: list[ComparisonReport] = []
    datasets: list[DatasetReport] = []
