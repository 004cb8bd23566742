"""Baselines: a platform's own texts as the reference of a model, where they are others than it was measured on."""

import re
from datetime import datetime

import msgspec

from moderato.artifact import Manifest, Reference
from moderato.decisions import ModelName
from moderato.drift import describe
from moderato.errors import BrokenModel
from moderato.objects import ObjectStore
from moderato.recent import Recent

FOLDER = "drift"
"""Under which baselines are kept: `drift/NAME-VERSION/TIME.json`, one file each time."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


class BrokenBaseline(BrokenModel):
    """What was kept as a baseline is none; the message names its key."""


class Baseline(msgspec.Struct, frozen=True, kw_only=True):
    """Recent texts of a platform that are to count as usual: no text, only how the scores of one model spread."""

    model: ModelName
    created: str
    days: int
    """How many days of decisions it was taken from."""
    reference: Reference


def take(manifest: Manifest, recent: Recent, days: int, now: datetime) -> Baseline:
    """Return the baseline of a model's recent decisions, of which there are enough."""
    return Baseline(
        model=ModelName(manifest.name, manifest.version),
        created=now.isoformat(),
        days=days,
        reference=describe(recent.observations, manifest.category_names, recent.reversals),
    )


def keep(objects: ObjectStore, baseline: Baseline) -> str:
    """Keep a baseline, which is the model's from now on; return its key."""
    at = datetime.fromisoformat(baseline.created)
    key = f"{_prefix(baseline.model)}{at:%Y%m%dT%H%M%S%f}Z.json"
    objects.put(key, msgspec.json.format(msgspec.json.encode(baseline), indent=1))
    return key


def newest(objects: ObjectStore, manifest: Manifest) -> Baseline | None:
    """Return the baseline that was kept last for a model, if there is one. Raises BrokenBaseline."""
    model = ModelName(manifest.name, manifest.version)
    for key in sorted(objects.keys(_prefix(model)), reverse=True):
        baseline = _decode(key, objects.get(key))
        if baseline.model == model and baseline.reference.categories.keys() == set(manifest.category_names):
            return baseline
    return None


def reference_for(objects: ObjectStore | None, manifest: Manifest) -> tuple[Reference | None, str | None]:
    """Return what a model's recent texts are compared with, and when it was kept: None where it is the model's own.

    That is the platform's baseline, or else the model's reference, or else None. Raises BrokenBaseline.
    """
    kept = None if objects is None else newest(objects, manifest)
    return (manifest.reference, None) if kept is None else (kept.reference, kept.created)


def _decode(key: str, content: bytes) -> Baseline:
    try:
        return msgspec.json.decode(content, type=Baseline)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BrokenBaseline(f"{key} is no baseline of drift any more: remove it, or keep another") from None


def _prefix(model: ModelName) -> str:
    return f"{FOLDER}/{_UNSAFE.sub('_', f'{model.name}-{model.version}')}/"
