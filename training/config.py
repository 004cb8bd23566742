"""A recipe: everything that one run of training needs to know, read from a TOML file."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec

from moderato.artifact import Problem

RECIPES = Path(__file__).parent / "recipes"

Cell = str | float | int
"""A value of a column as TOML writes it; cells are compared as text."""


Count = Annotated[int, msgspec.Meta(ge=1)]
CountFromZero = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
PositiveShare = Annotated[float, msgspec.Meta(gt=0, le=1)]
Tokens = Annotated[int, msgspec.Meta(ge=8)]
"""Two of them are the model's own, and some must be left for a text."""

LARGEST_SEED = 2**32 - 1
"""numpy takes no larger one."""


class RecipeError(ValueError):
    """A recipe or a source cannot be used; the message names the file, the line and the mend."""


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a recipe: an unknown key is an error, never ignored."""


class Shares(_Table, frozen=True, kw_only=True):
    """Which share of a source's texts is held out, by a hash of the text."""

    test: Share = 0.05
    validation: Share = 0.05


class Mapping(_Table, frozen=True, kw_only=True):
    """How a source speaks of one category: a column of probabilities, a column of names, votes, or one constant."""

    column: str | None = None
    positive: tuple[Cell, ...] | None = None
    """Cells of `column` that mean 1; without it, the cell itself is the label, 0..1."""
    negative: tuple[Cell, ...] | None = None
    """Cells that mean 0; without it, every cell that is not positive. Others are unknown."""
    votes: str | None = None
    """The column that counts the annotators who said yes, or a pattern (fnmatch) of columns that add up to it."""
    of: str | None = None
    """The column, or a pattern of columns, that counts all annotators; the label is the share of those who said yes."""
    value: float | None = None
    """The same label for every row."""


class Source(_Table, frozen=True, kw_only=True):
    """A file of texts, and what it says of the recipe's categories; a category that is not mapped stays unknown."""

    name: str
    file: str
    text: str | tuple[str, ...]
    """The column with the text (JSON: the key); several are joined by a line's end."""
    columns: tuple[str, ...] | None = None
    """Names of the columns where the file has no header."""
    quoted: bool = True
    """Whether quotes are CSV's; false where they are plain characters, as in CoLA."""
    where: dict[str, tuple[Cell, ...]] = {}
    """Only rows whose columns hold one of these cells."""
    without: tuple[str, ...] = ()
    """Leave out texts that have one of these whole words, without regard to case: terms kept for measuring."""
    labels: dict[str, Mapping] = {}
    label: str | None = None
    """Single-label: the column that names the category."""
    names: dict[str, str] = {}
    """Single-label: what the cells of `label` are called as categories, where that differs; "" leaves a row out."""
    summary: str | None = None
    """Extractive: the column with the document's summary; each sentence of `text` becomes a row."""
    natural: bool = False
    """Whether its class mix is that of real traffic; figures are taken on such sources."""
    limit: Count | None = None
    """At most so many rows, chosen by hash."""
    split: Shares | None = None
    origin: str
    licence: str


class Encoder(_Table, frozen=True, kw_only=True):
    """The pretrained encoder: carried by a Python package, named by a hub id or a folder, or a model's own."""

    name: str
    """What the manifest and the card call it; without `package` and `path`, the hub id to fetch."""
    package: str | None = None
    """The Python package that carries it, in a folder `model`."""
    path: str | None = None
    model: str | None = None
    """A model directory, from here or from the root of the code: training goes on from it, and not from the above."""
    licence: str


class TrainKnobs(_Table, frozen=True, kw_only=True):
    """Knobs of the fine-tuning."""

    epochs: Count = 2
    batch_size: Count = 32
    accumulation: Count = 1
    """Batches whose gradients are added up before a step."""
    learning_rate: PositiveShare = 1e-4
    layer_decay: PositiveShare = 1.0
    """Each layer below the top learns at this share of the rate above it (ULMFiT, Howard and Ruder 2018)."""
    weight_decay: Share = 0.01
    warmup_share: Share = 0.06
    max_tokens: Tokens = 128
    max_class_weight: Annotated[float, msgspec.Meta(ge=1)] = 5.0
    class_weight_power: Share = 0.5
    """Positives weigh (negatives / positives) to this power: 0 = all alike, 0.5 = square root of the imbalance."""
    patience: CountFromZero = 0
    """Evaluations without a better validation figure before training stops; 0 trains to the end."""
    evaluations_per_epoch: Count = 1
    checkpoint_steps: Count = 200
    """Steps between checkpoints: what a kill can cost, about two minutes of two CPU cores or some seconds of a GPU."""
    bf16: bool = True
    """Autocast to bf16 where the CPU or GPU has it (1.6 times as fast as fp32 on two cores); false is always fp32."""
    replay: CountFromZero | None = None
    """At most so many rows of a grown dataset besides all that moderators added; without it, all rows."""
    repeat: Count = 1
    """How often each row comes that moderators added."""
    share: PositiveShare = 1.0
    """Where training goes on from a model: the share of what was trained in the average of both (WiSE-FT)."""
    seed: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_SEED)] = 20


class Augmentation(_Table, frozen=True, kw_only=True):
    """Texts made from training rows, on top of them."""

    tricks: Share = 0.0
    """Share of the training rows that come a second time, disguised by a character trick."""
    counterexamples: CountFromZero = 0
    """How many of our own contrast texts are added: negation, counter-speech, reclaimed words, identity statements."""


class BlendKnobs(_Table, frozen=True, kw_only=True):
    """The second phase: how many blends and plain rows it reads, once, at which rate, and its share in the model."""

    blends: Count
    rows: CountFromZero
    learning_rate: PositiveShare
    share: Share


class ServeKnobs(_Table, frozen=True, kw_only=True):
    """How the served model reads long texts."""

    window_tokens: Tokens = 128
    overlap_tokens: CountFromZero = 32


class Target(_Table, frozen=True, kw_only=True):
    """When a category acts: the lowest score whose precision on validation is at least this (maximum recall)."""

    review_precision: PositiveShare
    block_precision: PositiveShare | None = None


class Measures(_Table, frozen=True, kw_only=True):
    """What is measured besides the categories."""

    identity_templates: str | None = None
    """A file of phrases with one identity term each, as Dixon et al. 2018 made: bias by term is measured on it."""
    identity_category: str = "toxicity"
    phrases_per_term: Count = 400
    tricks: CountFromZero = 0
    """How many flagged held-out texts are disguised by each character trick, and as many friendly ones."""


class Level(_Table, frozen=True, kw_only=True):
    """Categories that are read as one decision, as OLID's levels are, among the rows that have `given`."""

    name: str
    categories: tuple[str, ...]
    given: str | None = None


class Recipe(_Table, frozen=True, kw_only=True):
    """A model to be made: sources, categories, encoder and knobs."""

    extends: str | None = None
    """The recipe that this one is but for the keys that it gives: a name in `recipes/`, or a path from this file.

    Tables are merged key by key, lists replaced; `key = false` takes out what the other recipe has.
    """
    name: str
    version: str
    """May hold {date} and {dataset}: the day on which the model is made, and the dataset's version."""
    description: str
    problem: Problem
    categories: tuple[str, ...]
    encoder: Encoder
    train: TrainKnobs = TrainKnobs()
    augmentation: Augmentation = Augmentation()
    blend: BlendKnobs | None = None
    serve: ServeKnobs = ServeKnobs()
    split: Shares = Shares()
    measure: Measures = Measures()
    targets: dict[str, Target] = {}
    """Categories that call for review; the others are scored and never act."""
    levels: tuple[Level, ...] = ()
    limits: tuple[str, ...] = ()
    """What the model's card says of where it fails, a sentence each."""
    sources: tuple[Source, ...]
    file: str = ""
    """Where the recipe was read from."""


class _Knobs(_Table, frozen=True, kw_only=True):
    """A file of knobs."""

    train: TrainKnobs


def load_recipe(name: str | Path) -> Recipe:
    """Read the recipe NAME of `recipes/`, or the file that NAME is a path of.

    Raises RecipeError in one sentence that names the file, the line and the mend.
    """
    path = Path(name) if str(name).endswith(".toml") else RECIPES / f"{name}.toml"
    if not path.is_file():
        raise RecipeError(f"no recipe {str(name)!r}: there are {_known_recipes()}, or give the path of a .toml file")
    return _load(path)[1]


def load_knobs(path: Path, recipe: Recipe) -> Recipe:
    """Read a TOML file with a [train] table, as `tune` writes it, and lay it over the recipe's.

    Raises RecipeError in one sentence that names the file, the line and the mend.
    """
    try:
        content = path.read_text(encoding="utf-8")
        table = tomllib.loads(content)
    except FileNotFoundError:
        raise RecipeError(f"no knobs at {path}; give the path of a TOML file with a [train] table") from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from None
    if list(table) != ["train"] or not isinstance(table["train"], dict):
        raise RecipeError(f"{path} has {', '.join(table) or 'nothing'}; a file of knobs has one table, [train]")
    knobs = msgspec.to_builtins(recipe.train) | table["train"]
    try:
        laid_over = msgspec.convert({"train": knobs}, _Knobs).train
    except msgspec.ValidationError as error:
        raise RecipeError(_explain(path, content, str(error))) from None
    return msgspec.structs.replace(recipe, train=laid_over)


def _known_recipes() -> str:
    return ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.toml")))


def _load(path: Path, extending: tuple[Path, ...] = ()) -> tuple[dict[str, Any], Recipe]:
    """A recipe as a table, with what it extends, and as checked; `extending` are the recipes that ask for it."""
    content = path.read_text(encoding="utf-8")
    try:
        table = tomllib.loads(content)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{path} is not TOML: {error}") from None
    if "extends" in table:
        base = _base_of(path, table["extends"], f"{path} line {_line_of(content, 'extends')}")
        if base.resolve() in [each.resolve() for each in (path, *extending)]:
            raise RecipeError(
                f"{path} line {_line_of(content, 'extends')}: extends {table['extends']!r}, "
                "which extends this recipe; one of them must stand alone"
            )
        table = _merged(_load(base, (*extending, path))[0], table)
    try:
        recipe = msgspec.convert({**table, "file": str(path)}, Recipe)
    except msgspec.ValidationError as error:
        raise RecipeError(_explain(path, content, str(error))) from None
    for complaint, key in _complaints(recipe):
        raise RecipeError(f"{path} line {_line_of(content, key)}: {complaint}")
    return table, recipe


def _base_of(path: Path, name: object, where: str) -> Path:
    """The file of the recipe that the one at `path` extends."""
    if not isinstance(name, str):
        raise RecipeError(f'{where}: extends is no text; name a recipe, as in extends = "starter"')
    base = path.parent / name if name.endswith(".toml") else RECIPES / f"{name}.toml"
    if not base.is_file():
        raise RecipeError(
            f"{where}: extends {name!r}, which is no recipe: there are {_known_recipes()}, "
            "or give the path of a .toml file from this one"
        )
    return base


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The base with the changes in it, tables key by key; what is no switch and is set to false is taken out."""
    merged = {**base, **changes}
    for key in base.keys() & changes.keys():
        if isinstance(base[key], dict) and isinstance(changes[key], dict):
            merged[key] = _merged(base[key], changes[key])
        elif changes[key] is False and not isinstance(base[key], bool):
            del merged[key]
    return merged


def _explain(path: Path, content: str, error: str) -> str:
    """Msgspec's complaint with the line of the key that it speaks of."""
    unknown = re.search(r"unknown field `([^`]+)`(?: - at `\$\.?([^`]*)`)?", error)
    if unknown is None:
        at = re.search(r"at `\$([^`]*)`", error)
        keys = re.findall(r"[A-Za-z_]\w*", at[1]) if at else []
        return f"{path} line {_line_of(content, *keys[-1:])}: {error}"
    key, table = unknown[1], re.sub(r"\[[^\]]*\]", "", unknown[2] or "")
    where = f"[{table}]" if table else "the recipe"
    known = ", ".join(_known_keys(table))
    return f"{path} line {_line_of(content, key)}: unknown key {key!r} in {where}; remove it or use one of {known}"


def _known_keys(table: str) -> list[str]:
    kinds: dict[str, type[msgspec.Struct]] = {
        "": Recipe, "encoder": Encoder, "train": TrainKnobs, "augmentation": Augmentation, "blend": BlendKnobs,
        "serve": ServeKnobs, "split": Shares, "targets": Target, "measure": Measures, "levels": Level,
        "sources": Source, "sources.labels": Mapping, "sources.split": Shares,
    }  # fmt: skip
    kind = next((kinds[name] for name in sorted(kinds, key=len, reverse=True) if table.startswith(name)), Recipe)
    return sorted(field.name for field in msgspec.structs.fields(kind) if field.name != "file" or kind is Source)


def _complaints(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """What no type can say: (complaint with its mend, the key whose line to name)."""
    yield from _problem_complaints(recipe)
    yield from _source_complaints(recipe)
    yield from _category_complaints(recipe)
    yield from _knob_complaints(recipe)


def _problem_complaints(recipe: Recipe) -> Iterator[tuple[str, str]]:
    if recipe.problem is Problem.BINARY and len(recipe.categories) != 1:
        yield 'a "binary" recipe has one category; list one, or use "multi-label"', "categories"
    if recipe.problem is Problem.SINGLE_LABEL and len(recipe.categories) < 2:
        yield 'a "single-label" recipe needs two categories or more', "categories"
    for source in recipe.sources:
        if recipe.problem is Problem.SINGLE_LABEL and (source.label is None or source.labels):
            complaint = f'source {source.name!r} of a "single-label" recipe maps categories; give label = "column"'
            yield complaint, "labels" if source.labels else "sources"
        if recipe.problem is not Problem.SINGLE_LABEL and source.label is not None:
            yield f'source {source.name!r} has a label, which a "single-label" recipe has; use labels', "label"
        if recipe.problem is not Problem.BINARY and source.summary is not None:
            yield f'source {source.name!r} has a summary, which a "binary" recipe has; mend problem', "summary"


def _source_complaints(recipe: Recipe) -> Iterator[tuple[str, str]]:
    if not any(source.natural for source in recipe.sources):
        yield "no source is natural = true, so nothing could be measured; mark one", "sources"
    for source in recipe.sources:
        for category, how in source.labels.items():
            told, key = f"source {source.name!r} maps {category!r}", f"labels.{category}"
            ways = sum(way is not None for way in (how.column, how.votes, how.value))
            if ways != 1 or (how.votes is None) != (how.of is None):
                yield f"{told} in no way or in several; give column, or votes and of, or value", key
            if how.value is not None and not 0 <= how.value <= 1:
                yield f"{told} to {how.value:g}; a label is a probability from 0 to 1", key


def _category_complaints(recipe: Recipe) -> Iterator[tuple[str, str]]:
    for category in recipe.categories:
        if not any(_speaks_of(source, category, recipe.problem) for source in recipe.sources):
            yield f"no source speaks of category {category!r}; map it under [sources.labels]", "categories"
    for source in recipe.sources:
        for category in source.labels.keys() - set(recipe.categories):
            yield f"source {source.name!r} maps {category!r}, which is not in categories", category
    for category in [*recipe.targets, *(name for level in recipe.levels for name in level.categories)]:
        if category not in recipe.categories:
            yield f"{category!r} is not in categories; add it there or remove it here", category
    measured = recipe.measure.identity_category
    if recipe.measure.identity_templates is not None and measured not in recipe.categories:
        yield f"identity_category is {measured!r}, which is not in categories; name one of them", "identity_templates"


def _knob_complaints(recipe: Recipe) -> Iterator[tuple[str, str]]:
    shares = {f" of source {source.name!r}": source.split for source in recipe.sources if source.split is not None}
    for whose, each in {"": recipe.split, **shares}.items():
        if each.test + each.validation > 1:
            held_out = f"{each.test + each.validation:g} of the texts{whose}"
            yield f"test and validation are {held_out} together; at most 1 can be held out", "split"
    window, overlap = recipe.serve.window_tokens, recipe.serve.overlap_tokens
    if overlap > window - 3:
        yield f"overlap_tokens is {overlap} of windows of {window}; at most {window - 3} are possible", "overlap_tokens"


def _speaks_of(source: Source, category: str, problem: Problem) -> bool:
    return (
        category in source.labels
        or source.summary is not None
        or (problem is Problem.SINGLE_LABEL and source.label is not None)
    )


def _line_of(content: str, *keys: str) -> int:
    """The first line that has the key, as a key or in a table's name; 1 when there is none."""
    for number, line in enumerate(content.splitlines(), start=1):
        if any(re.search(rf"(^|[\s\[{{,.\"']){re.escape(key)}[\"']?\s*(=|\]|\.)", line) for key in keys):
            return number
    return 1


def knobs(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain data, for the run's config file and for tracking."""
    plain: dict[str, Any] = msgspec.to_builtins(recipe)
    return plain
