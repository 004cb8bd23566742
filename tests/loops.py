"""A whole loop for tests: a decision, feedback on it, three annotators who agree, and a grown dataset."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from moderato.decisions import Decision
from moderato.policy import Action, Reason
from moderato.review_queue import ReviewQueue
from moderato.reviews import ReviewReason, review_id_of, review_of
from moderato.sqlite import SqliteStore
from moderato.store import Store
from tests.made_datasets import CATEGORIES, held_out_rows, row, write_dataset
from tests.records import decision, feedback

ANNOTATORS = ("ana", "ben", "cho")
CREATED = "2026-11-21T12:00:00+00:00"


def correct(store: Store, number: int, text: str, labels: Sequence[str]) -> Decision:
    """Decide that a text is an insult, let mia contradict it, and three annotators settle on `labels`."""
    made = decision(
        decision_id=f"d_{number}",
        text=text,
        scores={name: 0.9 if name == "insult" else 0.0 for name in CATEGORIES},
        action=Action.REVIEW,
        reasons=[Reason("insult", 0.9, 0.8, Action.REVIEW)],
    )
    store.record_decisions([made])
    report_wrong(store, made, number)
    queue = ReviewQueue(store, CATEGORIES)
    for annotator in ANNOTATORS:
        queue.annotate(review_id_of(made.decision_id, text), annotator, labels)
    return made


def report_wrong(store: Store, made: Decision, number: int) -> None:
    """Let mia contradict a decision, so that its review is queued."""
    said = feedback(
        feedback_id=f"f_{number}",
        decision_id=made.decision_id,
        labels={"insult": False},
        correct=None,
        review_id=review_id_of(made.decision_id, made.text),
    )
    store.record_feedback(said, f"digest {number}", review_of(made, ReviewReason.DISAGREEMENT, CREATED))


def make_data(folder: Path, texts: Sequence[str]) -> Path:
    """Make a data folder where each text was corrected to "none of the categories"; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(SqliteStore(folder / "moderato.sqlite3")) as store:
        for number, text in enumerate(texts, start=1):
            correct(store, number, text, [])
    return folder


def make_parent(folder: Path) -> Path:
    """Write a dataset with every split; return its folder."""
    train = [row(f"A sentence about the {noun} in our street.", "train") for noun in ("bakery", "school", "fountain")]
    validation = [row("The choir sang three songs by candlelight.", "validation")]
    return write_dataset(folder, [*train, *validation, *held_out_rows()])
