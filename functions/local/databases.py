"""The databases of a data folder, opened alike, and the refusal of a folder that cannot be used."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from local.options import Refused
from moderato.sqlite import SqliteStore

Database = TypeVar("Database")


class UnusableData(Refused):
    """The data folder cannot be used; the message is one sentence for the person who named it."""

    @classmethod
    def of(cls, directory: Path, error: OSError) -> "UnusableData":
        """Return the refusal of a folder in which something cannot be read or made."""
        return cls(f"the data folder {directory} cannot be used: {error.strerror}")


def open_database(path: Path, open_file: Callable[[Path], Database]) -> Database:
    """Open a database in its data folder by `open_file`; both are made if missing. Raises UnusableData."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open_file(path)
    except OSError as error:
        raise UnusableData.of(path.parent, error) from None
    except sqlite3.Error as error:
        raise UnusableData(f"{path} cannot be opened as a database: {error}") from None


@contextmanager
def existing_store(data_directory: Path) -> Iterator[SqliteStore]:
    """Open the database of a data folder that has one: a mistyped folder must not become an empty one."""
    from local.assembly import DATABASE, open_store

    if not (data_directory / DATABASE).is_file():
        raise Refused(f"no database in {data_directory}: name the data folder of the server by --data-dir")
    with closing(open_store(data_directory)) as store:
        yield store
