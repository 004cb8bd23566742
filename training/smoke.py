"""A smoke run: a recipe cut down so that every stage runs within two minutes on a laptop."""

import msgspec

from training.config import Recipe


def smoke(recipe: Recipe) -> Recipe:
    """The recipe with one short epoch and a little of everything else; its model is good for nothing."""
    replace = msgspec.structs.replace
    return replace(
        recipe,
        train=replace(recipe.train, epochs=1, max_tokens=min(32, recipe.train.max_tokens), batch_size=16, patience=0),
        augmentation=replace(recipe.augmentation, counterexamples=min(60, recipe.augmentation.counterexamples)),
        blend=recipe.blend and replace(recipe.blend, blends=60, rows=60),
        measure=replace(recipe.measure, phrases_per_term=4, tricks=min(5, recipe.measure.tricks)),
    )
