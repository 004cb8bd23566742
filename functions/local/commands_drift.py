"""The command that tells whether recent texts are still like those that the model was measured on."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from local import drift_tables
from local.databases import existing_store
from local.drift_tables import Report
from local.models import find_model
from local.options import DATA, AsJson, DataDirectory, Model, Refused
from local.outputs import UnwritableFile
from moderato import baselines
from moderato.artifact import Manifest, load_manifest
from moderato.clock import utc_now
from moderato.decisions import ModelName
from moderato.drift import FEWEST_TEXTS, compare
from moderato.objects import FolderObjects
from moderato.recent import Recent, last_decided, read_recent

DRIFTED = 3
"""Exit status where a category drifts; 1 means that nothing could be told."""

OBJECTS = "objects"
"""Where in the data folder is what a stack keeps in its bucket."""


def drift(
    days: Annotated[int, typer.Option(help="How many days to look back.", min=1, max=90)] = 7,
    is_baseline: Annotated[
        bool, typer.Option("--keep", help="Keep these days as what is usual here; later ones are compared with them.")
    ] = False,
    svg: Annotated[Path | None, typer.Option(help="Also write it as a picture to this .svg file.")] = None,
    model: Model = None,
    as_json: AsJson = False,
    data_dir: DataDirectory = DATA,
) -> None:
    """Compare the scores of recent decisions with those that the model was measured on.

    Exit status 0: no category drifts. 3: one does. 1: nothing can be told, and the message says what is missing.
    """
    if svg is not None and svg.suffix.lower() != ".svg":
        raise Refused(f"{svg}: the picture is written to a file that ends in .svg")
    if svg is not None and is_baseline:
        raise Refused("--keep compares nothing, so there is no picture for --svg: leave one of them out")
    manifest = load_manifest(find_model(model, data_dir))
    recent = _recent(manifest, data_dir, days)
    if is_baseline:
        key = _keep(manifest, recent, data_dir, days)
        typer.echo(json.dumps({"kept": key}) if as_json else _kept(recent, days, data_dir / OBJECTS / key))
        return
    report = _report(manifest, recent, data_dir, days)
    if svg is not None:
        _write(svg, report)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=1).decode())
    else:
        Console().print(drift_tables.drift_report(report))
    if report.drifts:
        raise typer.Exit(DRIFTED)


def _recent(manifest: Manifest, data_directory: Path, days: int) -> Recent:
    """Read the recent decisions. Raises Refused where they are too few to say anything."""
    name = ModelName(manifest.name, manifest.version)
    with existing_store(data_directory) as store:
        recent = read_recent(store, name, utc_now() - timedelta(days=days))
        last = None if recent.decisions else last_decided(store, name)
    shown = f"{name.name} {name.version}"
    if not recent.decisions:
        if last is None:
            raise Refused(f"{shown} has decided nothing that is kept in {data_directory}")
        raise Refused(
            f"{shown} decided nothing that is kept in {data_directory} in the last {days} days; the last was on "
            f"{last.date()}: look back further by --days"
        )
    if not recent.observations:
        raise Refused(
            f"kept decisions of {shown} in the last {days} days: {recent.decisions}, and none of them was drawn to "
            "stand for the allowed texts: wait for more, or serve with --store-decisions all for a while"
        )
    if not recent.is_enough:
        raise Refused(
            f"{len(recent.observations)} decisions of the last {days} days tell as much as "
            f"{recent.effective_texts:.0f} texts, and {FEWEST_TEXTS} are needed: look back further by --days, or serve "
            "with --store-decisions all"
        )
    return recent


def _report(manifest: Manifest, recent: Recent, data_directory: Path, days: int) -> Report:
    """Compare with the platform's own baseline, or else with the model's reference. Raises Refused without either."""
    folder = data_directory / OBJECTS
    reference, kept = baselines.reference_for(FolderObjects(folder) if folder.is_dir() else None, manifest)
    if reference is None:
        raise Refused(
            f"{manifest.name} {manifest.version} was made without a reference to compare with: keep these days as what "
            "is usual by `moderato drift --keep`, or give the model one by `python -m training.reference`"
        )
    found = compare(reference, recent.observations, recent.reversals)
    return Report(
        model=ModelName(manifest.name, manifest.version),
        against="model" if kept is None else kept,
        reference_texts=reference.texts,
        days=days,
        decisions=len(recent.observations),
        drifts=bool(found.drifting),
        found=found,
    )


def _keep(manifest: Manifest, recent: Recent, data_directory: Path, days: int) -> str:
    try:
        objects = FolderObjects(data_directory / OBJECTS)
        return baselines.keep(objects, baselines.take(manifest, recent, days, utc_now()))
    except OSError as error:
        raise Refused(f"the data folder {data_directory} cannot be written: {error.strerror}") from None


def _kept(recent: Recent, days: int, path: Path) -> str:
    return (
        f"{len(recent.observations):,} decisions of the last {days} days, {_flagged(recent):.1%} of the texts flagged, "
        f"are what is usual from now on: {path}. Remove that file to go back."
    )


def _flagged(recent: Recent) -> float:
    """The share of all texts that was flagged in any category."""
    texts = sum(each.weight for each in recent.observations)
    return sum(each.weight for each in recent.observations if each.flagged) / texts


def _write(path: Path, report: Report) -> None:
    try:
        path.write_text(drift_tables.to_svg(report), encoding="utf-8")
    except OSError as error:
        raise UnwritableFile(f"{path} cannot be written: {error.strerror}") from None
