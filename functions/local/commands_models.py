"""The commands about the model in use: promote, rollback, champion."""

import hashlib
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from local import checkout, promotion
from local.champion import CannotPromote, Champions
from local.lineage import Lineage
from local.models import champions_of
from local.options import DATA, AsJson, DataDirectory, Refused
from local.promotion import Comparison, Event
from moderato.artifact import Manifest, load_manifest, verify_files
from moderato.clock import utc_now

NOT_BETTER = 3
"""Exit status of a comparison that the challenger did not win; 1 means that there was none."""


def promote(
    challenger: Annotated[Path, typer.Argument(help="Model directory that wants the champion's place.")],
    dataset: Annotated[
        Path | None, typer.Option(help="Dataset to compare on; by default the one that the challenger was trained on.")
    ] = None,
    templates: Annotated[
        Path | None, typer.Option(help="Folder of public files, where identity phrases may be.")
    ] = None,
    is_meant: Annotated[
        bool, typer.Option("--yes/--dry-run", help="Promote a better challenger, or compare only.")
    ] = True,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare on fewer texts, for a first look; nothing is promoted.")
    ] = False,
    data_dir: DataDirectory = DATA,
) -> None:
    """Compare a challenger with the champion, and make it champion if it is better; exit status 3 if it is not."""
    champions = champions_of(data_dir)
    manifest = load_manifest(challenger)
    verify_files(challenger, manifest)
    champion = champions.current()
    before = load_manifest(champion)
    place = dataset or _dataset_of(manifest, data_dir, challenger)
    found, report = checkout.compare(champion, challenger, place, templates, quick)
    evidence = _record(data_dir, challenger, manifest, before, found)
    told = _write_report(challenger, report)
    _tell(found, told)
    if not found.passed:
        raise typer.Exit(NOT_BETTER)
    if is_meant and not quick:
        _promote(champions, challenger, evidence, before)
    else:
        typer.echo(f"With {'--quick' if quick else '--dry-run'} nothing is promoted.")


def rollback(data_dir: DataDirectory = DATA) -> None:
    """Go back to the champion before this one; it can be repeated."""
    try:
        champion = champions_of(data_dir).rollback()
    except CannotPromote as error:
        raise Refused(str(error)) from None
    called = "the model that came with Moderato" if champion is None else f"{champion.name} {champion.version}"
    typer.echo(f"The champion is {called} again; a running server takes it within a second or two.")


def champion(data_dir: DataDirectory = DATA, as_json: AsJson = False) -> None:
    """Tell which model is in use, since when, and how it came to be."""
    from local.promotion_tables import champion_lines, history_table

    champions = champions_of(data_dir)
    directory, pointer = champions.current(), champions.pointer()
    manifest = load_manifest(directory)
    events = list(promotion.read(data_dir))
    if as_json:
        found: dict[str, object] = {"directory": str(directory), "name": manifest.name, "version": manifest.version}
        found |= {"sha256": manifest.sha256, "pointer": pointer, "history": events}
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
        return
    console = Console()
    console.print(champion_lines(manifest.name, manifest.version, str(directory), pointer, events))
    if events:
        console.print()
        console.print(history_table(events))


def _dataset_of(manifest: Manifest, data_directory: Path, challenger: Path) -> Path:
    record = manifest.dataset
    beside = (challenger.parent / "dataset",)
    version = Lineage.find(data_directory, beside=beside, with_models=False).version(record.digest)
    if version is None:
        raise Refused(
            f"dataset {record.name} {record.version}, which the challenger was trained on, is not at hand: "
            "name its folder, or that of another with the same test set, by --dataset"
        )
    return version.folder


def _record(data_directory: Path, challenger: Path, manifest: Manifest, before: Manifest, found: Comparison) -> str:
    """Note the comparison; return its id, which a promotion refers to."""
    created = utc_now().isoformat(timespec="seconds")
    digest = hashlib.sha256(f"{created} {before.sha256} {manifest.sha256}".encode()).hexdigest()
    event = Event(
        kind="compared",
        created=created,
        model=f"{manifest.name} {manifest.version}",
        instead_of=f"{before.name} {before.version}",
        sha256=manifest.sha256,
        directory=str(challenger.resolve()),
        evidence=f"c_{digest[:16]}",
        comparison=found,
    )
    try:
        promotion.append(data_directory, event)
    except OSError as error:
        raise Refused(f"the data folder {data_directory} cannot be written: {error.strerror}") from None
    return f"c_{digest[:16]}"


def _write_report(challenger: Path, report: str) -> Path | None:
    """Write the report beside the challenger, where that is possible."""
    path = challenger.resolve().with_name(f"{challenger.resolve().name}-comparison.md")
    try:
        path.write_text(report, encoding="utf-8")
    except OSError:
        return None
    return path


def _tell(found: Comparison, told: Path | None) -> None:
    from local.promotion_tables import comparison_table

    console = Console()
    console.print(comparison_table(found))
    for note in found.notes:
        console.print(note, markup=False, style="dim")
    for reason in found.reasons:
        console.print(f"Not promoted: {reason}", markup=False, soft_wrap=True)
    if told is not None:
        console.print(f"Report: {told}", markup=False, soft_wrap=True)


def _promote(champions: Champions, challenger: Path, evidence: str, before: Manifest) -> None:
    try:
        champion = champions.promote(challenger, evidence, instead_of=before.sha256)
    except CannotPromote as error:
        raise Refused(str(error)) from None
    typer.echo(
        f"{champion.name} {champion.version} is the champion; a running server takes it within a second or two. "
        "`moderato rollback` goes back."
    )
