"""Files as a recipe's sources expect them, with texts of our own: no row of a dataset is in the repository."""

import csv
import gzip
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.config import Recipe, Source

HARMFUL = ("you are a stupid idiot", "shut your filthy mouth", "I will break your legs", "they are all vermin")
FRIENDLY = ("thank you for the help", "see you at the market", "the soup was very good", "we met at the library")
PLACES = ("harbour", "bakery", "garden", "museum", "station", "river", "castle", "bridge", "school", "theatre")
PEOPLE = ("Anna", "Boris", "Chen", "Dana", "Emeka", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Lamin")


def write_sources(recipe: Recipe, folder: Path, rows: int) -> None:
    """Write each file that the recipe names, with so many rows a source, half of them positive for every category."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(7)
    for file in {source.file for source in recipe.sources}:
        records = [row for each in recipe.sources if each.file == file for row in _records(each, rows, draw)]
        columns = list(dict.fromkeys(column for record in records for column in record))
        with gzip.open(folder / file, "wt", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, columns, restval="0")
            writer.writeheader()
            writer.writerows(records)


def remark(number: int, is_harmful: bool, draw: random.Random) -> str:
    """One of many texts that are not alike."""
    said = draw.choice(HARMFUL if is_harmful else FRIENDLY)
    return f"{draw.choice(PEOPLE)} and {draw.choice(PEOPLE)} of the {draw.choice(PLACES)}, number {number}: {said}"


def _records(source: Source, rows: int, draw: random.Random) -> Iterator[Mapping[str, Any]]:
    texts = (source.text,) if isinstance(source.text, str) else source.text
    for number in range(rows):
        is_harmful = number % 2 == 0
        record: dict[str, Any] = {column: remark(number, is_harmful, draw) for column in texts}
        for mapping in source.labels.values():
            if mapping.votes is not None and mapping.of is not None:
                yes, every = mapping.votes.replace("*", "1").replace("[123]", "1"), mapping.of.replace("*", "1")
                record |= {yes: int(is_harmful), every: 1}
            elif mapping.column is not None:
                positive = "1" if mapping.positive is None else mapping.positive[0]
                negative = (mapping.negative or ("0",))[0]
                record[mapping.column] = positive if is_harmful else negative
        record |= {column: cells[number % len(cells)] for column, cells in source.where.items()}
        yield record
