"""Rows of the embedded store: a record's fields are its columns, and a structure is a column of JSON."""

import sqlite3
from typing import Any, TypeVar

import msgspec

Record = TypeVar("Record", bound=msgspec.Struct)

_STRUCTURES = {"scores", "reasons", "model", "policy", "labels", "gold", "values", "annotators", "review_ids"}


def insert(connection: sqlite3.Connection, table: str, record: msgspec.Struct, now: float, **more: object) -> bool:
    """Insert the record, with more columns; False, and nothing changed, when one is there that has not expired."""
    row = _row_of(record) | more
    columns = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    renewed = ", ".join(f'"{name}" = excluded."{name}"' for name in row)
    statement = (
        f"INSERT INTO {table} ({columns}) VALUES ({values}) "  # noqa: S608  # names from our own types
        f"ON CONFLICT DO UPDATE SET {renewed} WHERE {table}.expires <= :now"
    )
    return connection.execute(statement, {**row, "now": now}).rowcount == 1


def record_of(record_type: type[Record], row: sqlite3.Row) -> Record:
    """Return the record of a row; columns that it has no field for are left out."""
    fields = {name: _value(name, row[name]) for name in row.keys()}  # noqa: SIM118  # a Row iterates over its values
    # Not strict, because SQLite has no booleans: they are 0 and 1.
    return msgspec.convert(fields, record_type, strict=False)


def _row_of(record: msgspec.Struct) -> dict[str, object]:
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return {
        name: msgspec.json.encode(value).decode() if name in _STRUCTURES and value is not None else value
        for name, value in fields.items()
    }


def _value(name: str, value: object) -> object:
    return msgspec.json.decode(value) if name in _STRUCTURES and isinstance(value, str) else value
