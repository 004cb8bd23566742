"""The scorer: the same scores wherever a text stands, whole long texts, and every golden answer."""

import itertools
import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moderato.artifact import Manifest, Problem
from moderato.errors import BrokenModel
from moderato.scorer import Scorer
from tests.conftest import STARTER
from tests.made_models import change_starter

TEXTS = Path(__file__).parent / "texts"
FRIENDLY = (TEXTS / "friendly.txt").read_text().splitlines()


@pytest.fixture(scope="session")
def single_label(scorer: Scorer) -> Scorer:
    """Return the starter model, read as one that decides for exactly one of its categories."""
    return Scorer.open(STARTER, msgspec.structs.replace(scorer.manifest, problem=Problem.SINGLE_LABEL))


def test_every_golden_answer_is_given(scorer: Scorer) -> None:
    scorer.check_golden(STARTER / "golden.jsonl")
    assert len((STARTER / "golden.jsonl").read_text().splitlines()) == 64


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
@pytest.mark.parametrize("content", [b"", b"garbage", b"{}", b"\x00" * 64])
def test_a_file_that_is_none_is_named_though_its_digest_is_right(tmp_path: Path, name: str, content: bytes) -> None:
    def spoil(directory: Path, manifest: Manifest) -> Manifest:
        (directory / name).write_bytes(content)
        return manifest

    with pytest.raises(BrokenModel, match=f"{name} is no"):
        Scorer.load(change_starter(tmp_path / "model", spoil))


def test_scores_do_not_depend_on_what_was_scored_before(scorer: Scorer) -> None:
    texts = [*FRIENDLY, *(TEXTS / "abusive.txt").read_text().splitlines()]
    alone = {text: scorer.score(text).scores for text in texts}
    random.Random(1).shuffle(texts)
    assert {text: scorer.score(text).scores for text in texts} == alone


def test_a_long_text_is_read_to_its_end(scorer: Scorer) -> None:
    padding = " ".join(FRIENDLY * 3)
    quiet = scorer.score(padding).scores["insult"]
    assert scorer.score(f"{padding} You are a stupid idiot.").scores["insult"] > quiet + 0.3


def test_windows_cover_a_long_text_and_overlap(scorer: Scorer) -> None:
    text = " ".join(FRIENDLY * 4)
    windows = scorer.score(text).windows
    assert windows[0].start == 0
    assert windows[-1].end == len(text)
    assert all(later.start < earlier.end for earlier, later in itertools.pairwise(windows))


@pytest.mark.parametrize(("tokens", "overlap"), [(7_999, 64), (8_000, 64), (8_001, 16)])
def test_a_text_of_very_many_tokens_is_covered_by_windows_that_overlap_less(
    scorer: Scorer, tokens: int, overlap: int
) -> None:
    text = "!" * tokens
    windows = scorer.score(text).windows
    assert (windows[0].start, windows[-1].end) == (0, tokens)
    # The last window ends with the text, so that it may overlap more.
    assert {earlier.end - later.start for earlier, later in itertools.pairwise(windows[:-1])} == {overlap}


def test_a_disguised_insult_scores_like_a_plain_one(scorer: Scorer) -> None:
    plain = scorer.score("you are an idiot").scores["insult"]
    for disguised in ("you are an 1d10t", "yоu аre аn іdіоt", "you are an i d i o t", "you are an id\u200biot"):
        assert scorer.score(disguised).scores["insult"] == pytest.approx(plain, abs=0.1)


def test_the_name_of_a_special_token_is_text(scorer: Scorer) -> None:
    # As text it is a bracket, a word and a bracket, wherever the spaces are.
    assert scorer.score("fine [SEP] idiot").scores == scorer.score("fine [ sep ] idiot").scores
    assert scorer.score("[PAD]").scores == scorer.score("[ pad ]").scores


@settings(deadline=None, max_examples=50)
@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=300))
def test_any_string_has_scores_between_0_and_1(scorer: Scorer, text: str) -> None:
    assert all(0 <= score <= 1 for score in scorer.score(text).scores.values())


def test_onnxruntime_writes_nothing_to_the_home_folder(tmp_path: Path) -> None:
    program = (
        f"from pathlib import Path; from moderato.scorer import Scorer; Scorer.load(Path({str(STARTER)!r})).score('hi')"
    )
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(STARTER.parents[1] / "functions")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert list(tmp_path.rglob("*")) == []


def test_the_scores_of_a_single_label_model_add_up_to_one(single_label: Scorer) -> None:
    scores = single_label.score("You are a complete idiot.").scores
    assert sum(scores.values()) == pytest.approx(1.0, abs=1e-5)
    assert scores["toxicity"] + scores["insult"] > 0.9


def test_a_topic_is_what_a_text_is_about_on_the_whole(single_label: Scorer) -> None:
    """One window in ten does not make the topic of a long text; one abusive sentence makes it abusive."""
    friendly = "The committee met on Tuesday and agreed on the budget for the new library in the old town. " * 80
    alone, among = (single_label.pooled(text) for text in ("You are a complete idiot.", friendly + "You idiot."))
    assert alone[0] - among[0] > 2
