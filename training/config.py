"""A recipe: everything that one run of training needs to know, read from `recipes/NAME.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Shares:
    """Which share of a source's texts is held out."""

    test: float
    validation: float


@dataclass(frozen=True)
class SourceChoice:
    """One source of a recipe; `natural` marks the class mix of real traffic, which figures are taken on."""

    name: str
    natural: bool = False
    limit: int | None = None
    """At most so many rows, chosen by hash."""


@dataclass(frozen=True)
class Encoder:
    """The pretrained encoder and the Python package that carries it."""

    package: str
    name: str
    licence: str


@dataclass(frozen=True)
class TrainKnobs:
    """Knobs of the fine-tuning."""

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_share: float
    max_tokens: int
    max_class_weight: float
    seed: int


@dataclass(frozen=True)
class BlendKnobs:
    """The second phase: how many blends and plain rows it reads, once, at which rate, and its share in the model."""

    blends: int
    rows: int
    learning_rate: float
    share: float


@dataclass(frozen=True)
class ServeKnobs:
    """How the served model reads long texts, and how sure it must be to block."""

    window_tokens: int
    overlap_tokens: int
    block_precision: float


@dataclass(frozen=True)
class Recipe:
    """A model to be made: sources, categories, encoder and knobs."""

    name: str
    version: str
    description: str
    categories: tuple[str, ...]
    encoder: Encoder
    train: TrainKnobs
    blend: BlendKnobs
    serve: ServeKnobs
    natural_shares: Shares
    other_shares: Shares
    sources: tuple[SourceChoice, ...]


def load_recipe(name: str) -> Recipe:
    """Read `recipes/NAME.toml`. Raises ValueError naming the recipes there are when NAME is not one of them."""
    path = RECIPES / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(recipe.stem for recipe in RECIPES.glob("*.toml")))
        raise ValueError(f"no recipe {name!r}; there are: {known}")
    return _from_table(tomllib.loads(path.read_text()))


def _from_table(table: dict[str, Any]) -> Recipe:
    return Recipe(
        name=table["name"],
        version=table["version"],
        description=table["description"],
        categories=tuple(table["categories"]),
        encoder=Encoder(**table["encoder"]),
        train=TrainKnobs(**table["train"]),
        blend=BlendKnobs(**table["blend"]),
        serve=ServeKnobs(**table["serve"]),
        natural_shares=Shares(**table["split"]["natural"]),
        other_shares=Shares(**table["split"]["other"]),
        sources=tuple(SourceChoice(**source) for source in table["sources"]),
    )
