"""ROUGE: what a model picks of a document, beside its first sentences and the best that can be picked."""

import pytest

from training.dataset import Row
from training.rouge import Document, gather, measure_rouge, pick, positive_share

WEATHER = ["Rain fell all day.", "Ducks liked it.", "Rivers rose by noon.", "Nobody swam."]
FIRE = ["A barn burnt.", "Two cows fled.", "Firemen came late.", "Hay smoulders still."]


def row(identifier: str, text: str, label: float, document: str | None) -> Row:
    """A row of a test split."""
    return Row(identifier, text, {"summary": label}, "news", "test", natural=True, document=document)


def test_the_highest_scores_are_picked_in_the_order_of_the_document() -> None:
    assert pick([0.1, 0.9, 0.3, 0.8], share=0.5) == [1, 3]
    assert pick([0.5, 0.5, 0.5, 0.9], share=0.5) == [0, 3]


def test_at_least_one_sentence_is_picked_and_at_most_all() -> None:
    assert pick([0.1, 0.9], share=0.01) == [1]
    assert pick([0.1, 0.9], share=1) == [0, 1]


def test_documents_are_gathered_in_the_order_of_their_sentences() -> None:
    rows = [
        row("a-0010", "Third.", 1.0, "a"),
        row("b-0000", "Other.", 1.0, "b"),
        row("a-0002", "Second.", 0.0, "a"),
        row("c", "Alone.", 1.0, None),
        row("a-0000", "First.", 1.0, "a"),
    ]
    assert gather(rows, [0.3, 0.4, 0.2, 0.9, 0.1], "summary") == [
        Document("a", ("First.", "Second.", "Third."), (0.1, 0.2, 0.3), "First.\nThird."),
        Document("b", ("Other.",), (0.4,), "Other."),
    ]


def test_the_share_to_pick_is_that_of_the_sentences_of_documents() -> None:
    rows = [row("a-0000", "First.", 1.0, "a"), row("a-0001", "Second.", 0.0, "a"), row("c", "Alone.", 1.0, None)]
    assert positive_share(rows, "summary") == 0.5
    with pytest.raises(ValueError, match="no row was cut from a document"):
        positive_share(rows[2:], "summary")


def test_rouge_of_the_model_of_the_lead_and_of_the_oracle_stand_side_by_side() -> None:
    result = measure_rouge(
        [WEATHER, FIRE],
        [[0.9, 0.1, 0.8, 0.2], [0.9, 0.1, 0.2, 0.8]],
        ["\n".join([WEATHER[0], WEATHER[2]]), "\n".join([FIRE[2], FIRE[3]])],
        share=0.5,
    )
    assert result.documents == 2
    assert [result.oracle[kind].value for kind in ("rouge1", "rouge2", "rougeL")] == [1, 1, 1]
    # Of the weather the model picks the reference. Of the fire it picks "A barn burnt. Hay smoulders still.":
    # 3 of the 6 words are wanted, and 2 of the 5 pairs of words.
    assert result.model["rouge1"].value == 0.75
    assert result.model["rouge2"].value == 0.7
    assert result.model["rougeL"].value == 0.75
    assert result.model["rouge1"].interval == (0.5, 1.0)
    # The lead has 4 of the weather's 8 wanted words in 7 of its own, and none of the fire's.
    assert result.lead["rouge1"].value == pytest.approx(4 / 15, abs=1e-4)


def test_a_document_without_a_reference_is_not_measured() -> None:
    scores = [[0.9, 0.1, 0.8, 0.2]] * 2
    result = measure_rouge([WEATHER, FIRE], scores, [WEATHER[0], ""], share=0.25)
    assert result.documents == 1
    assert result.model["rougeL"].value == 1
    with pytest.raises(ValueError, match="no document has a reference"):
        measure_rouge([WEATHER], scores[:1], [" "], share=0.25)


def test_the_table_says_how_much_was_picked_of_how_many() -> None:
    table = measure_rouge([WEATHER], [[0.9, 0.1, 0.8, 0.2]], [WEATHER[0]], share=0.25).table()
    assert [line[0] for line in table.rows][::3] == ["model: rouge1", "lead: rouge1", "oracle: rouge1"]
    assert table.rows[0] == ("model: rouge1", 1.0, 1.0, 1.0)
    assert table.note.endswith("1 documents, 25% of their sentences.")
