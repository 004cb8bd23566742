"""The embedded store keeps what it says it keeps, once, and forgets what is erased."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moderato.decisions import Recorded
from moderato.errors import Conflict, UnknownDecision
from moderato.sqlite import SqliteStore
from tests.records import decision, feedback


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    """Open an empty store."""
    store = SqliteStore(tmp_path / "moderato.db")
    yield store
    store.close()


def reviews(path: Path) -> list[tuple[object, ...]]:
    """Return decision, feedback and status of every review in the file."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT decision_id, feedback_id, status FROM reviews").fetchall()
    connection.close()
    return rows


def test_a_decision_comes_back_as_it_was(store: SqliteStore) -> None:
    kept = decision(text="naïve 🙂 \x00", item_id="c-1", sampling_probability=0.01, kept_because="sampled")
    store.record_decisions([kept])
    assert store.get_decision("d_1") == kept


def test_a_decision_that_is_there_stays_as_it_is(store: SqliteStore) -> None:
    store.record_decisions([decision(text="first")])
    store.record_decisions([decision(text="second")])
    assert store.get_decision("d_1").text == "first"


def test_decisions_are_stored_all_or_none(store: SqliteStore) -> None:
    broken = decision(decision_id="d_2", text=None)
    with pytest.raises(sqlite3.IntegrityError):
        store.record_decisions([decision(), broken])
    with pytest.raises(UnknownDecision):
        store.get_decision("d_1")


def test_what_was_recorded_outlives_the_process(tmp_path: Path) -> None:
    # Not closed before the second opens the file: as after a kill -9, the write-ahead log is all there is.
    first = SqliteStore(tmp_path / "moderato.db")
    first.record_decisions([decision()])
    first.record_feedback(feedback(), "digest", review=True)
    second = SqliteStore(tmp_path / "moderato.db")
    assert second.get_decision("d_1") == decision()
    assert second.feedback_of("d_1") == [feedback()]
    first.close()
    second.close()


def test_every_commit_is_synced_to_disk(store: SqliteStore) -> None:
    connection = store._connection()
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL


def test_feedback_and_its_review_are_stored_together(store: SqliteStore, tmp_path: Path) -> None:
    recorded = store.record_feedback(feedback(labels={"insult": False}, correct=None), "digest", review=True)
    assert recorded == Recorded("f_1", review_queued=True, replayed=False)
    assert store.feedback_of("d_1") == [feedback(labels={"insult": False}, correct=None)]
    assert reviews(tmp_path / "moderato.db") == [("d_1", "f_1", "waiting")]


def test_agreeing_feedback_queues_no_review(store: SqliteStore, tmp_path: Path) -> None:
    store.record_feedback(feedback(correct=True), "digest", review=False)
    assert reviews(tmp_path / "moderato.db") == []


def test_the_same_feedback_again_changes_nothing_and_gets_the_first_answer(store: SqliteStore, tmp_path: Path) -> None:
    store.record_feedback(feedback(), "digest", review=True)
    again = store.record_feedback(feedback(created="2026-11-22T00:00:00+00:00"), "digest", review=False)
    assert again == Recorded("f_1", review_queued=True, replayed=True)
    assert store.feedback_of("d_1") == [feedback()]
    assert len(reviews(tmp_path / "moderato.db")) == 1


def test_another_request_under_a_used_id_is_a_conflict(store: SqliteStore) -> None:
    store.record_feedback(feedback(), "digest", review=True)
    with pytest.raises(Conflict):
        store.record_feedback(feedback(), "other digest", review=True)
    assert store.feedback_of("d_1") == [feedback()]


def test_feedback_is_listed_oldest_first(store: SqliteStore) -> None:
    store.record_feedback(feedback(feedback_id="f_2", created="2026-11-22T00:00:00+00:00"), "b", review=False)
    store.record_feedback(feedback(feedback_id="f_1", created="2026-11-21T00:00:00+00:00"), "a", review=False)
    assert [entry.feedback_id for entry in store.feedback_of("d_1")] == ["f_1", "f_2"]


def test_erasure_leaves_no_byte_of_text_or_note_in_the_files(store: SqliteStore, tmp_path: Path) -> None:
    store.record_decisions([decision(text="MARKER-TEXT")])
    store.record_feedback(feedback(note="MARKER-NOTE", text="MARKER-AGAIN"), "digest", review=True)
    store.delete_decision("d_1")
    with pytest.raises(UnknownDecision):
        store.get_decision("d_1")
    assert store.feedback_of("d_1") == []
    assert reviews(tmp_path / "moderato.db") == []
    assert not [path.name for path in tmp_path.iterdir() if b"MARKER" in path.read_bytes()]


def test_erasure_takes_nothing_else(store: SqliteStore) -> None:
    store.record_decisions([decision(), decision(decision_id="d_2")])
    store.delete_decision("d_1")
    assert store.get_decision("d_2") == decision(decision_id="d_2")


def test_an_erased_decision_takes_no_more_feedback(store: SqliteStore) -> None:
    store.record_decisions([decision()])
    store.delete_decision("d_1")
    with pytest.raises(UnknownDecision):
        store.record_feedback(feedback(text="you fool"), "digest", review=True)
    assert store.feedback_of("d_1") == []


def test_feedback_on_an_unstored_decision_can_be_erased(store: SqliteStore) -> None:
    store.record_feedback(feedback(text="you fool"), "digest", review=True)
    store.delete_decision("d_1")
    assert store.feedback_of("d_1") == []


def test_an_unknown_decision_cannot_be_erased(store: SqliteStore) -> None:
    with pytest.raises(UnknownDecision):
        store.delete_decision("d_1")


def test_threads_write_at_the_same_time_and_lose_nothing(store: SqliteStore) -> None:
    def record(number: int) -> Recorded:
        return store.record_feedback(feedback(feedback_id=f"f_{number % 40}"), "digest", review=True)

    with ThreadPoolExecutor(8) as pool:
        recorded = list(pool.map(record, range(80)))
    assert sum(not one.replayed for one in recorded) == 40
    assert len(store.feedback_of("d_1")) == 40
