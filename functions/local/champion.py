"""The champion: which model is in use, as a pointer that a crash cannot tear, and the history of how it came to be.

A data folder holds

    champion.json        the pointer; without it, the model that came with Moderato is the champion
    models/NAME/         copies of the models that were promoted, so that nothing else needs to stay where it is
    promotions.jsonl     what was compared, promoted and rolled back, a line each
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from local.model_copies import flush, keep, require_plain_names
from local.promotion import Event, append
from moderato.artifact import load_manifest, verify_files
from moderato.clock import Clock, utc_now
from moderato.errors import BrokenModel

POINTER = "champion.json"
MODELS = "models"
KEPT = 20
"""How many promotions can be rolled back one after another; each keeps its model on the disk."""


class CannotPromote(Exception):
    """The champion cannot be changed as asked; the message is one sentence for the person who asked."""


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is, or was, in use. `directory` is relative to the data folder, which may be moved as a whole."""

    directory: str
    name: str
    version: str
    sha256: str
    """The digest that its manifest is sealed with."""
    promoted: str
    """UTC, ISO 8601."""
    previous: "Champion | None" = None
    """What a rollback goes back to; None = the model that came with Moderato."""
    evidence: str | None = None
    """The comparison that it won: the id of a line of promotions.jsonl."""


class Champions:
    """The champion of a data folder, for any number of processes; `default_model` is what is in use before the first.

    A change is one atomic rename of a small file that is on the disk before: kill -9 leaves the old champion or the
    new one, never neither.
    """

    def __init__(self, data_directory: Path, default_model: Callable[[], Path], clock: Clock = utc_now) -> None:
        """Name the data folder, which need not be there yet."""
        self._data = data_directory
        self._default_model = default_model
        self._clock = clock

    @property
    def is_set(self) -> bool:
        """Whether any model was promoted here."""
        return (self._data / POINTER).exists()

    def pointer(self) -> Champion | None:
        """Return what the pointer says, None where there is none. Raises BrokenModel when it cannot be read."""
        path = self._data / POINTER
        try:
            return msgspec.json.decode(path.read_bytes(), type=Champion)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise BrokenModel(f"{path} cannot be read: {error.strerror}; name a model by --model") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BrokenModel(
                f"{path} is not the pointer to a model; remove it to begin again with the model that came with Moderato"
            ) from None

    def current(self) -> Path:
        """Return the directory of the champion, whose manifest is the one that was promoted.

        Raises BrokenModel, which says what to do next, when it is not there or not the same.
        """
        champion = self.pointer()
        if champion is None:
            return self._default_model()
        directory = self.directory_of(champion)
        try:
            found = load_manifest(directory).sha256
        except BrokenModel as error:
            raise BrokenModel(f"{error}; {self.advice()}") from None
        if found != champion.sha256:
            raise BrokenModel(
                f"{directory} is not the model that was promoted: its digest starts with {found[:12]} instead of "
                f"{champion.sha256[:12]}; {self.advice()}"
            )
        return directory

    def advice(self) -> str:
        """Return what a person can do when the champion cannot be used."""
        return (
            f"it is the champion that {self._data / POINTER} names: "
            "`moderato rollback` goes back to the one before it, or name a model by --model"
        )

    def directory_of(self, champion: Champion) -> Path:
        """Return where a champion's files are."""
        return self._data / champion.directory

    def promote(self, directory: Path, evidence: str | None = None, instead_of: str | None = None) -> Champion:
        """Copy a model into the data folder, prove the copy, and make it the champion.

        `instead_of` is the digest of the champion that it was compared with. Raises BrokenModel when the model is not
        whole, CannotPromote when another became champion since, or the folder cannot be written.
        """
        manifest = load_manifest(directory)
        verify_files(directory, manifest)
        require_plain_names(directory, manifest)
        with self._alone():
            before = self.pointer()
            if instead_of is not None and self._digest(before) != instead_of:
                raise CannotPromote("another model became champion since this one was compared: compare again")
            champion = Champion(
                directory=f"{MODELS}/{keep(directory, manifest, self._data / MODELS).name}",
                name=manifest.name,
                version=manifest.version,
                sha256=manifest.sha256,
                promoted=self._now(),
                previous=_shortened(before, KEPT - 1),
                evidence=evidence,
            )
            self._point(champion)
            self._note("promoted", champion, before)
        return champion

    def rollback(self) -> Champion | None:
        """Go back to the champion before this one; return it, None for the model that came with Moderato.

        It can be repeated. Raises CannotPromote when there is no champion to roll back, BrokenModel when the one
        before is not whole; then nothing changes.
        """
        with self._alone():
            champion = self.pointer()
            if champion is None:
                raise CannotPromote("no model was promoted, so there is nothing to roll back")
            before = champion.previous
            directory = self._default_model() if before is None else self.directory_of(before)
            verify_files(directory, load_manifest(directory))
            if before is None:
                self._remove_pointer()
            else:
                self._point(before)
            self._note("rolled back", before, champion)
        return before

    def _digest(self, champion: Champion | None) -> str:
        return load_manifest(self._default_model()).sha256 if champion is None else champion.sha256

    def _point(self, champion: Champion) -> None:
        path = self._data / POINTER
        part = path.with_name(f".{POINTER}.part")
        with part.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(champion), indent=1) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        flush(self._data)

    def _remove_pointer(self) -> None:
        (self._data / POINTER).unlink()
        flush(self._data)

    def _note(self, kind: str, champion: Champion | None, before: Champion | None) -> None:
        event = Event(
            kind=kind,
            created=self._now(),
            model=_called(champion),
            instead_of=_called(before),
            sha256=None if champion is None else champion.sha256,
            evidence=None if champion is None else champion.evidence,
        )
        append(self._data, event)

    def _now(self) -> str:
        now: datetime = self._clock()
        return now.isoformat(timespec="seconds")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of the data folder, so that two promotions do not overwrite each other's `previous`."""
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            with (self._data / f".{POINTER}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise CannotPromote(f"the data folder {self._data} cannot be written: {error.strerror}") from None


def _shortened(champion: Champion | None, length: int) -> Champion | None:
    if champion is None or length == 0:
        return None
    return msgspec.structs.replace(champion, previous=_shortened(champion.previous, length - 1))


def _called(champion: Champion | None) -> str | None:
    return None if champion is None else f"{champion.name} {champion.version}"
