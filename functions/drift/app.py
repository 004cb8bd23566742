"""Drift on events: a schedule has recent decisions compared with a reference, a person has them kept as one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from moderato import baselines
from moderato.artifact import Manifest
from moderato.clock import Clock, utc_now
from moderato.decisions import ModelName
from moderato.drift import FEWEST_TEXTS, Drift, compare
from moderato.objects import ObjectStore
from moderato.recent import Recent, read_recent
from moderato.store import Store
from moderato.telemetry import Count, Measure, Unit, ignore

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

COMPARE_EVENT = "Scheduled Event"
KEEP_EVENT = "Drift Baseline Is Due"
"""By this a person has the recent decisions kept as the baseline; nothing sends it by itself."""

MOST_DAYS = 90

DRIFT_TEXTS = "drift_texts"
EFFECTIVE_TEXTS = "drift_effective_texts"
DRIFTING_CATEGORIES = "drifting_categories"
STABILITY_INDEX = "population_stability_index"
FLAG_RATE = "recent_flag_rate"
REVERSAL_RATE = "recent_reversal_rate"


def create_app(
    store: Store,
    manifest: Manifest,
    days: int,
    objects: ObjectStore | None,
    logger: Logger,
    measure: Measure,
    clock: Clock = utc_now,
    count: Count = ignore,
) -> Handler:
    """Return the Lambda handler of drift; `objects` keeps baselines, None where a platform shall have none of its own.

    Raises ValueError unless `days` are 1 to `MOST_DAYS`.
    """
    if not 1 <= days <= MOST_DAYS:
        raise ValueError(f"drift looks back 1 to {MOST_DAYS} days, not {days}")
    watch = _Watch(store, manifest, days, objects, logger, measure, clock, count)

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001  # Lambda passes both
        kind = event.get("detail-type")
        if kind == COMPARE_EVENT:
            watch.compare()
        elif kind == KEEP_EVENT:
            return watch.keep()
        else:
            logger.warning("unknown_event")
            count("unknown_event")
        return {}

    return handler


@dataclass(frozen=True)
class _Watch:
    """One model's recent decisions, and what becomes of them. Counts and scores leave it, never a text."""

    store: Store
    manifest: Manifest
    days: int
    objects: ObjectStore | None
    logger: Logger
    measure: Measure
    clock: Clock
    count: Count

    def compare(self) -> None:
        """Measure how far the recent decisions are from the platform's baseline, or else from the model's reference."""
        recent = self._recent()
        # First of all, so that a day without decisions is seen as such, and not as one on which nothing ran.
        self.measure(DRIFT_TEXTS, len(recent.observations), Unit.COUNT)
        self.measure(EFFECTIVE_TEXTS, recent.effective_texts, Unit.COUNT)
        reference, _ = baselines.reference_for(self.objects, self.manifest)
        if reference is None:
            self.logger.warning("reference_missing", extra={"model": self.manifest.name, "do": "keep a baseline"})
            self.count("reference_missing")
        elif recent.is_enough:
            self._report(compare(reference, recent.observations, recent.reversals))
        else:
            self._tell_too_few(recent)

    def keep(self) -> dict[str, Any]:
        """Keep the recent decisions as the baseline from now on; tell its key, or why there is none."""
        if self.objects is None:
            return {"refused": "this stack has no place for baselines: BASELINES names no bucket"}
        recent = self._recent()
        if not recent.is_enough:
            self._tell_too_few(recent)
            found = f"the decisions of the last {self.days} days count as {recent.effective_texts:.0f} texts"
            return {"refused": f"{found}; a baseline needs {FEWEST_TEXTS}"}
        key = baselines.keep(self.objects, baselines.take(self.manifest, recent, self.days, self.clock()))
        self.logger.info("baseline_kept", extra={"key": key, "texts": len(recent.observations)})
        self.count("baseline_kept")
        return {"kept": key}

    def _recent(self) -> Recent:
        model = ModelName(self.manifest.name, self.manifest.version)
        return read_recent(self.store, model, self.clock() - timedelta(days=self.days))

    def _report(self, drift: Drift) -> None:
        for each in drift.drifting:
            fields = {"category": each.category, "index": round(each.index, 3), "highest": round(each.highest, 3)}
            self.logger.warning("category_drifts", extra=fields)
        self.measure(DRIFTING_CATEGORIES, len(drift.drifting), Unit.COUNT)
        self.measure(STABILITY_INDEX, drift.largest_index, Unit.NONE)
        for name, rate in ((FLAG_RATE, drift.flag_rate), (REVERSAL_RATE, drift.reversal_rate)):
            if rate.recent is not None:
                self.measure(name, rate.recent.share, Unit.NONE)

    def _tell_too_few(self, recent: Recent) -> None:
        counts = {"texts": len(recent.observations), "effective_texts": round(recent.effective_texts)}
        self.logger.info("too_few_decisions", extra=counts | {"fewest": FEWEST_TEXTS})
