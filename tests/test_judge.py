"""What the model has to read for one request: a long text in any script, but not a hundred of them."""

import random
from collections.abc import Sequence
from io import StringIO

import pytest

from moderato import spans
from moderato.contracts import MAX_REQUEST_TOKENS
from moderato.policy import Policy, Threshold
from moderato.retention import Keep, Retention
from moderato.scorer import RUN_TOKENS, Scorer, cost
from moderato.sqlite import SqliteStore
from predict.app import create_app
from tests.conftest import App
from tests.events import send
from tests.records import logger_to

WORDS = ["the", "and", "for", "was", "with", "that", "from", "they"]
"""Each is one token."""
DISGUISED = " you are an id!ot and a st*pid f o o l"
CHINESE = [chr(code) for code in range(0x4E00, 0x9FFF)]
KOREAN = list("안녕하세요반갑습니다오늘날씨가좋네요정말감사합니다")
"""Each is two or three tokens, and a word of three up to nine."""
LIGATURES = ["㈝", "㈞"]
"""Each is one character, which stands for four, of six or seven tokens."""


class CountingScorer(Scorer):
    """The starter model, whose graph is not run: the logits are always the same."""

    runs = 0
    tokens = 0
    """As `scorer.cost` counts."""

    def _run(self, ids: Sequence[int]) -> tuple[float, ...]:
        self.runs += 1
        self.tokens += len(ids) + 2 + RUN_TOKENS
        return (0.0,) * len(self.manifest.categories)


@pytest.fixture
def counting(scorer: Scorer) -> CountingScorer:
    """Return a scorer that counts runs."""
    return CountingScorer(scorer.manifest, scorer._session, scorer._tokenizer)


@pytest.fixture
def app(counting: CountingScorer, store: SqliteStore) -> App:
    """Build the app around the counting scorer; it flags and keeps everything."""
    return create_app(
        scorer=counting,
        card="",
        policies={"default": Policy("default", 1, {"toxicity": Threshold(0.0, None)})},
        store=store,
        retention=Retention(Keep.ALL, 0.0, lambda: 1.0),
        logger=logger_to(StringIO()),
    )


def drawn(alphabet: Sequence[str], count: int, separator: str = "", seed: int = 1) -> str:
    """Return so many pieces of an alphabet, in an order that hardly repeats itself."""
    chance = random.Random(seed)
    return separator.join(chance.choice(alphabet) for _ in range(count))


def items_of(windows: Sequence[int]) -> list[dict[str, str]]:
    """Return texts that the model reads in so many windows each: the first has 126 words, each other 62 new ones."""
    return [{"text": drawn(WORDS, 126 + 62 * (many - 1), " ", seed)} for seed, many in enumerate(windows)]


@pytest.mark.parametrize(
    "text",
    [
        drawn(WORDS, 6_000, " ")[:20_000],
        drawn(["id!ot", "st*pid", "f u c k", "y0u"], 6_000, " ")[:20_000],
        drawn("!?.,;:-#%&", 20_000 - len(DISGUISED)) + DISGUISED,
        DISGUISED + drawn("!?.,;:-#%&", 20_000 - len(DISGUISED)),
        DISGUISED + drawn(CHINESE, 20_000 - len(DISGUISED)),
        drawn([drawn(KOREAN, 3, seed=seed) for seed in range(500)], 5_000, " "),
        drawn("abcdefghijklmnopqrstuvwxyz     ", 20_000),
    ],
    ids=["English", "disguised", "signs", "signs after a disguise", "Chinese after a disguise", "Korean", "letters"],
)
def test_a_text_of_20000_characters_is_read_whatever_it_is_written_in(app: App, text: str) -> None:
    assert 19_900 <= len(text) <= 20_000
    status, body = send(app, "POST", "/moderate", {"text": text})
    assert status == 200, body


def test_more_than_the_limit_is_refused_before_anything_is_scored_or_stored(
    app: App, counting: CountingScorer, store: SqliteStore
) -> None:
    # 484 windows are 484 * (128 + 4) = 63,888 tokens, and 485 are 64,020.
    assert MAX_REQUEST_TOKENS == 64_000
    status, body = send(app, "POST", "/moderate", {"items": items_of([5] * 97)})
    assert (status, body["title"]) == (413, "Request too large")
    assert body["detail"] == "the model may read 64000 tokens for one request; send fewer or shorter texts"
    assert counting.runs == 0
    assert store.list_decisions(1).records == []


def test_as_much_as_the_limit_is_answered(app: App, counting: CountingScorer) -> None:
    status, body = send(app, "POST", "/moderate", {"items": items_of([5] * 96 + [4])})
    assert status == 200
    assert len(body["results"]) == 97
    assert counting.runs == 484


def test_spans_cost_a_second_reading(app: App, counting: CountingScorer) -> None:
    items = items_of([5] * 49)
    assert send(app, "POST", "/moderate", {"items": items})[0] == 200
    counting.runs = 0
    status, body = send(app, "POST", "/moderate", {"items": items, "explain": True})
    assert (status, counting.runs) == (413, 0)
    assert body["detail"].endswith("send fewer or shorter texts, or do without `explain`")


@pytest.mark.parametrize(
    "text",
    [
        ". ".join(drawn("abcdefghijklmnop", 2, seed=seed) for seed in range(400)),
        ". ".join(drawn("abcdefghijklmnop", 2, seed=seed) for seed in range(40)),
        drawn(["id!ot. ", "st*pid. ", "f u c k. ", "y0u. "], 400),
        drawn(WORDS, 1_000, " "),
        drawn(WORDS, 20, " "),
        drawn(CHINESE, 1_000),
        "!",
    ],
    ids=[
        "many tiny sentences",
        "tiny sentences",
        "disguised sentences",
        "one long sentence",
        "one sentence",
        "Chinese",
        "one sign",
    ],
)
def test_a_request_never_costs_more_than_was_reckoned_with(counting: CountingScorer, app: App, text: str) -> None:
    pieces = counting.pieces(text)
    send(app, "POST", "/moderate", {"text": text})
    assert counting.tokens == cost(pieces)
    counting.tokens = 0
    send(app, "POST", "/moderate", {"text": text, "explain": True})
    assert cost(pieces) < counting.tokens <= cost(pieces) + spans.cost(text, pieces)


def test_what_repeats_itself_within_a_text_costs_once(app: App) -> None:
    assert send(app, "POST", "/moderate", {"items": [{"text": "!" * 2_000}] * 100})[0] == 200


def test_characters_that_stand_for_words_can_be_too_many(app: App) -> None:
    status, _ = send(app, "POST", "/moderate", {"text": drawn(LIGATURES, 20_000)})
    assert status == 413


def test_a_text_is_read_twice_from_its_first_disguised_word_on(counting: CountingScorer) -> None:
    plain = drawn(WORDS, 1_000, " ")
    assert cost(counting.pieces(f"{plain} id!ot")) < 1.2 * cost(counting.pieces(plain))
    assert cost(counting.pieces(f"id!ot {plain}")) > 1.8 * cost(counting.pieces(plain))
