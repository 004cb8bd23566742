"""Recipes: what cannot be used stops at once, with one sentence that names the file, the line and the mend."""

import re
from pathlib import Path

import pytest

from tests.recipes import RECIPE, write_recipe
from training.config import RECIPES, RecipeError, load_knobs, load_recipe


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_every_recipe_that_ships_can_be_read(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == (recipe.extends or name)
    assert any(source.natural for source in recipe.sources)


def test_an_unknown_recipe_is_answered_with_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'nonsense': there are .*olid, starter"):
        load_recipe("nonsense")


def refusal(path: Path) -> str:
    """Return the sentence that a recipe is refused with."""
    with pytest.raises(RecipeError) as refused:
        load_recipe(path)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path))


def test_an_unknown_key_is_named_with_its_line_and_the_keys_there_are(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, RECIPE.replace("[split]", "[train]\nepoch = 3\n\n[split]"))
    message = refusal(path)
    assert message.startswith(" line 13: unknown key 'epoch' in [train]; remove it or use one of ")
    assert "epochs" in message


def test_an_unknown_key_of_a_source_is_named(tmp_path: Path) -> None:
    message = refusal(write_recipe(tmp_path, RECIPE.replace("natural = true", "natrual = true")))
    assert message.startswith(" line 20: unknown key 'natrual' in [sources]")


def test_a_value_of_the_wrong_type_is_named_with_its_line(tmp_path: Path) -> None:
    message = refusal(write_recipe(tmp_path, test='test = "a lot"'))
    assert message.startswith(" line 13: ")
    assert "float" in message


@pytest.mark.parametrize(
    ("table", "line", "right"),
    [
        ("[train]\nepochs = 0", 13, ">= 1"),
        ("[train]\nbatch_size = 0", 13, ">= 1"),
        ("[train]\nreplay = -1", 13, ">= 0"),
        ("[train]\nrepeat = 0", 13, ">= 1"),
        ("[train]\nshare = 1.5", 13, "<= 1.0"),
        ("[train]\nshare = 0.0", 13, "> 0.0"),
        ("[train]\nlearning_rate = nan", 13, "> 0.0"),
        ("[train]\nlearning_rate = inf", 13, "<= 1.0"),
        ("[train]\nweight_decay = -0.1", 13, ">= 0.0"),
        ("[train]\nlayer_decay = 0", 13, "> 0.0"),
        ("[train]\nwarmup_share = 2", 13, "<= 1.0"),
        ("[train]\nmax_tokens = 2", 13, ">= 8"),
        ("[train]\nmax_class_weight = 0.5", 13, ">= 1.0"),
        ("[train]\npatience = -1", 13, ">= 0"),
        ("[train]\nevaluations_per_epoch = 0", 13, ">= 1"),
        ("[train]\ncheckpoint_steps = 0", 13, ">= 1"),
        ("[train]\nseed = -1", 13, ">= 0"),
        ("[augmentation]\ntricks = 1.1", 13, "<= 1.0"),
        ("[blend]\nblends = 0\nrows = 9\nlearning_rate = 1e-4\nshare = 0.5", 13, ">= 1"),
        ("[blend]\nblends = 9\nrows = 9\nlearning_rate = 1e-4\nshare = 7.0", 16, "<= 1.0"),
        ("[serve]\nwindow_tokens = 0", 13, ">= 8"),
        ("[measure]\nphrases_per_term = 0", 13, ">= 1"),
        ("[targets]\nrude = { review_precision = 1.2 }", 13, "<= 1.0"),
        ("[targets]\nrude = { review_precision = 0.8, block_precision = -0.2 }", 13, "> 0.0"),
    ],
)
def test_a_knob_that_is_out_of_range_is_named_with_its_line(tmp_path: Path, table: str, line: int, right: str) -> None:
    message = refusal(write_recipe(tmp_path, RECIPE.replace("[split]", f"{table}\n\n[split]")))
    assert message.startswith(f" line {line}: Expected ")
    assert right in message


def test_shares_beyond_the_whole_are_named(tmp_path: Path) -> None:
    assert refusal(write_recipe(tmp_path, test="test = 0.8")) == (
        " line 12: test and validation are 1.1 of the texts together; at most 1 can be held out"
    )
    own = "split = { test = 0.7, validation = 0.6 }\nnatural = true"
    assert refusal(write_recipe(tmp_path, natural=own)) == (
        " line 12: test and validation are 1.3 of the texts of source 'comments' together; at most 1 can be held out"
    )
    assert refusal(write_recipe(tmp_path, test="test = -0.1")).startswith(" line 13: Expected `float` >= 0.0")
    assert load_recipe(write_recipe(tmp_path, test="test = 0.7")).split.test == 0.7


def test_windows_that_would_never_move_on_are_named(tmp_path: Path) -> None:
    table = "[serve]\nwindow_tokens = 64\noverlap_tokens = 62"
    assert refusal(write_recipe(tmp_path, RECIPE.replace("[split]", f"{table}\n\n[split]"))) == (
        " line 14: overlap_tokens is 62 of windows of 64; at most 61 are possible"
    )


def test_a_category_without_a_source_is_named(tmp_path: Path) -> None:
    message = refusal(write_recipe(tmp_path, categories='categories = ["rude", "loud", "odd"]'))
    assert message == " line 5: no source speaks of category 'odd'; map it under [sources.labels]"


def test_a_mapping_to_a_category_that_is_not_there_is_named(tmp_path: Path) -> None:
    message = refusal(
        write_recipe(tmp_path, labels__loud='labels.shrill = { column = "loud" }', categories='categories = ["rude"]')
    )
    assert message == " line 22: source 'comments' maps 'shrill', which is not in categories"


def test_a_target_of_a_category_that_is_not_there_is_named(tmp_path: Path) -> None:
    content = RECIPE.replace("[split]", "[targets]\nodd = { review_precision = 0.5 }\n\n[split]")
    assert " line 13: 'odd' is not in categories" in refusal(write_recipe(tmp_path, content))


def test_a_binary_recipe_has_one_category(tmp_path: Path) -> None:
    assert 'a "binary" recipe has one category' in refusal(write_recipe(tmp_path, problem='problem = "binary"'))


@pytest.mark.parametrize("how", ["{}", '{ votes = "yes" }', '{ column = "rude", value = 1 }'])
def test_a_mapping_without_a_way_or_with_several_is_refused(how: str, tmp_path: Path) -> None:
    message = refusal(write_recipe(tmp_path, labels__rude=f"labels.rude = {how}"))
    assert message.startswith(" line 21: source 'comments' maps 'rude' in no way or in several; give column")


def test_a_constant_outside_0_to_1_is_refused(tmp_path: Path) -> None:
    message = refusal(write_recipe(tmp_path, labels__loud="labels.loud = { value = 2 }"))
    assert message == " line 22: source 'comments' maps 'loud' to 2; a label is a probability from 0 to 1"


def test_a_single_label_recipe_knows_every_label(tmp_path: Path) -> None:
    message = refusal(write_recipe(tmp_path, problem='problem = "single-label"'))
    assert "source 'comments' of a \"single-label\" recipe maps categories; give label" in message


def test_bias_is_measured_of_a_category_there_is(tmp_path: Path) -> None:
    content = RECIPE.replace("[split]", '[measure]\nidentity_templates = "terms.csv.gz"\n\n[split]')
    message = refusal(write_recipe(tmp_path, content))
    assert message.startswith(" line 13: identity_category is 'toxicity', which is not in categories")


def test_a_recipe_whose_figures_could_be_taken_on_nothing_is_refused(tmp_path: Path) -> None:
    assert "no source is natural = true" in refusal(write_recipe(tmp_path, natural="natural = false"))


def test_a_file_that_is_not_toml_is_refused_with_the_line(tmp_path: Path) -> None:
    message = refusal(write_recipe(tmp_path, problem="problem = multi-label"))
    assert "is not TOML" in message
    assert "line 4" in message


BASE = (
    RECIPE
    + """
[train]
epochs = 3
batch_size = 8
bf16 = true

[blend]
blends = 10
rows = 10
learning_rate = 1e-5
share = 0.5
"""
)


def write_next(folder: Path, content: str) -> Path:
    """Write a recipe beside `own.toml`, which has a second phase."""
    write_recipe(folder, BASE)
    path = folder / "next.toml"
    path.write_text(content)
    return path


def test_a_recipe_is_the_one_that_it_extends_but_for_the_keys_that_it_gives(tmp_path: Path) -> None:
    path = write_next(tmp_path, 'extends = "own.toml"\nversion = "1.1.0"\n[train]\nepochs = 1\nbf16 = false\n')
    recipe = load_recipe(path)
    assert (recipe.name, recipe.version, recipe.file) == ("own", "1.1.0", str(path))
    assert (recipe.train.epochs, recipe.train.batch_size, recipe.train.bf16) == (1, 8, False)
    assert recipe.blend is not None
    assert [source.name for source in recipe.sources] == ["comments"]


def test_a_list_is_replaced_and_what_is_set_to_false_is_taken_out(tmp_path: Path) -> None:
    recipe = load_recipe(
        write_next(tmp_path, 'extends = "own.toml"\nlimits = ["One."]\nblend = false\n[train]\nepochs = false\n')
    )
    assert recipe.blend is None
    assert recipe.limits == ("One.",)
    assert recipe.train.epochs == 2


def test_a_recipe_may_extend_one_that_extends_another(tmp_path: Path) -> None:
    write_next(tmp_path, 'extends = "own.toml"\nblend = false\n')
    third = tmp_path / "third.toml"
    third.write_text('extends = "next.toml"\nversion = "3"\n')
    recipe = load_recipe(third)
    assert (recipe.version, recipe.blend) == ("3", None)


def test_recipes_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    message = refusal(write_next(tmp_path, '\nextends = "next.toml"\n'))
    assert message == " line 2: extends 'next.toml', which extends this recipe; one of them must stand alone"


def test_a_recipe_that_is_not_there_cannot_be_extended(tmp_path: Path) -> None:
    message = refusal(write_next(tmp_path, 'extends = "nonsense"\n'))
    assert message.startswith(" line 1: extends 'nonsense', which is no recipe: there are ")
    assert " line 1: extends is no text" in refusal(write_next(tmp_path, "extends = 1\n"))


def test_a_wrong_key_of_a_recipe_that_extends_is_named_with_its_own_line(tmp_path: Path) -> None:
    message = refusal(write_next(tmp_path, 'extends = "own.toml"\n\n[train]\nepoch = 1\n'))
    assert message.startswith(" line 4: unknown key 'epoch' in [train]")


def test_a_wrong_recipe_that_is_extended_is_named(tmp_path: Path) -> None:
    path = write_next(tmp_path, 'extends = "own.toml"\n')
    write_recipe(tmp_path, BASE, epochs="epochs = true")
    with pytest.raises(RecipeError, match=r"own\.toml line 27: "):
        load_recipe(path)


@pytest.mark.parametrize("line", ["replay = -1", "repeat = 0", "share = 0.0", "share = 1.5"])
def test_a_knob_outside_its_range_is_refused_with_it(line: str, tmp_path: Path) -> None:
    message = refusal(write_next(tmp_path, f'extends = "own.toml"\n[train]\n{line}\n'))
    assert re.match(r" line 3: Expected `(int|float)` (>=|>|<=) ", message)


def test_the_short_retraining_is_the_starter_that_goes_on() -> None:
    starter, short = load_recipe("starter"), load_recipe("starter-next")
    assert (short.name, short.problem, short.categories) == (starter.name, starter.problem, starter.categories)
    assert (short.targets, short.serve, short.sources) == (starter.targets, starter.serve, starter.sources)
    assert (starter.encoder.model, short.encoder.model) == (None, "models/starter")


def test_knobs_are_laid_over_those_of_the_recipe(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, RECIPE.replace("[split]", "[train]\nepochs = 3\nseed = 5\n\n[split]")))
    knobs = tmp_path / "tune.toml"
    knobs.write_text("# the best of 20 trials\n[train]\nlearning_rate = 2e-05\nepochs = 4\n")
    changed = load_knobs(knobs, recipe)
    assert (changed.train.learning_rate, changed.train.epochs, changed.train.seed) == (2e-5, 4, 5)
    assert (changed.name, changed.sources) == (recipe.name, recipe.sources)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[train]\nepoch = 3\n", " line 2: unknown key 'epoch' in [train]; remove it or use one of accumulation, "),
        ("[train]\n\nepochs = 0\n", " line 3: Expected `int` >= 1"),
        ("[encoder]\nname = 'x'\n", " has encoder; a file of knobs has one table, [train]"),
        ("", " has nothing; a file of knobs has one table, [train]"),
        ("[train\n", " is not TOML: "),
    ],
)
def test_knobs_that_cannot_be_used_are_named(content: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "knobs.toml").write_text(content)
    with pytest.raises(RecipeError) as refused:
        load_knobs(tmp_path / "knobs.toml", load_recipe(write_recipe(tmp_path)))
    assert str(refused.value).startswith(f"{tmp_path / 'knobs.toml'}{told}")
    with pytest.raises(RecipeError, match=r"no knobs at .*; give the path of a TOML file"):
        load_knobs(tmp_path / "nowhere.toml", load_recipe(write_recipe(tmp_path)))
