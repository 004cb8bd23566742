"""What is special to a store in a file: what is on disk, what is gone from it, and an earlier release's file."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from moderato.decisions import Recorded
from moderato.errors import UnknownDecision, UnknownReview
from moderato.policy import Action
from moderato.reviews import ReviewReason, Status, review_id_of, review_of
from moderato.sqlite import SqliteStore
from tests.records import decision
from tests.stores import NOON, MovableClock, annotation, label, open_sqlite, reported, reported_text, text_review

ROOT = Path(__file__).parents[1]

RELEASE_0_1 = """
CREATE TABLE decisions (
    decision_id TEXT PRIMARY KEY, created TEXT NOT NULL, text TEXT NOT NULL, action TEXT NOT NULL,
    scores TEXT NOT NULL, reasons TEXT NOT NULL, model TEXT NOT NULL, policy TEXT NOT NULL,
    kept_because TEXT NOT NULL, sampling_probability REAL, item_id TEXT
) STRICT;
CREATE TABLE feedback (
    feedback_id TEXT PRIMARY KEY, decision_id TEXT, moderator TEXT NOT NULL, correct INTEGER, labels TEXT,
    note TEXT, text TEXT, created TEXT NOT NULL, request_digest TEXT NOT NULL, review_queued INTEGER NOT NULL
) STRICT;
CREATE INDEX feedback_of_decision ON feedback (decision_id);
CREATE TABLE reviews (
    review_id TEXT PRIMARY KEY, decision_id TEXT, feedback_id TEXT, reason TEXT NOT NULL,
    created TEXT NOT NULL, status TEXT NOT NULL
) STRICT;
CREATE INDEX reviews_of_decision ON reviews (decision_id);
CREATE INDEX reviews_waiting ON reviews (status, created);
CREATE TABLE erased (decision_id TEXT PRIMARY KEY) STRICT;

INSERT INTO decisions VALUES ('d_1', '2026-11-21T12:00:00+00:00', 'you fool', 'review', '{"insult":0.9,"threat":0.1}',
    '[{"category":"insult","score":0.9,"threshold":0.8,"action":"review"}]', '{"name":"starter","version":"1.0.0"}',
    '{"name":"default","version":1}', 'flagged', NULL, NULL);
INSERT INTO feedback VALUES ('f_1', 'd_1', 'mia', 0, NULL, NULL, NULL, '2026-11-21T12:00:01+00:00', 'digest 1', 1);
INSERT INTO feedback VALUES ('f_2', 'd_1', 'noa', NULL, '{"insult":false}', 'a joke', NULL, '2026-11-21T12:00:02+00:00',
    'digest 2', 1);
INSERT INTO feedback VALUES ('f_3', NULL, 'mia', 0, NULL, NULL, 'a text', '2026-11-21T12:00:03+00:00', 'digest 3', 1);
INSERT INTO feedback VALUES ('f_4', 'd_4', 'mia', 0, NULL, NULL, 'unstored', '2026-11-21T12:00:04+00:00', 'd 4', 1);
INSERT INTO reviews VALUES ('r_1', 'd_1', 'f_1', 'disagreement', '2026-11-21T12:00:01+00:00', 'waiting');
INSERT INTO reviews VALUES ('r_2', 'd_1', 'f_2', 'disagreement', '2026-11-21T12:00:02+00:00', 'waiting');
INSERT INTO reviews VALUES ('r_3', NULL, 'f_3', 'disagreement', '2026-11-21T12:00:03+00:00', 'waiting');
INSERT INTO reviews VALUES ('r_4', 'd_4', 'f_4', 'disagreement', '2026-11-21T12:00:04+00:00', 'waiting');
INSERT INTO reviews VALUES ('r_5', 'd_5', 'f_5', 'disagreement', '2026-11-21T12:00:05+00:00', 'waiting');
INSERT INTO erased VALUES ('d_6');
"""

WRITER = """
import sys
from pathlib import Path
from moderato.sqlite import SqliteStore
from tests.stores import reported

store = SqliteStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 100_000, int(sys.argv[3])):
    given, review = reported(f"d_{number}", feedback_id=f"f_{number}")
    store.record_feedback(given, "digest", review)
    print(number, flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is, in a folder of its own."""
    return tmp_path / "moderato.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """Open an empty store."""
    with open_sqlite(path) as store:
        yield store


def holds(path: Path, marker: bytes) -> list[str]:
    """Return the files beside the store that hold these bytes."""
    return [file.name for file in path.parent.iterdir() if marker in file.read_bytes()]


def start_writer(path: Path, first: int = 0, step: int = 1) -> "subprocess.Popen[str]":
    """Start a process that records feedback and prints the number of each that is acknowledged."""
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(step)]
    environment = {"PYTHONPATH": f"{ROOT / 'functions'}:{ROOT}"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def kill_after(process: "subprocess.Popen[str]", writes: int) -> list[int]:
    """Read so many acknowledgements, kill -9, and return all that were printed."""
    assert process.stdout is not None
    printed = [process.stdout.readline() for _ in range(writes)]
    process.send_signal(signal.SIGKILL)
    printed += process.stdout.read().split("\n")
    process.stdout.close()
    process.wait()
    return [int(line) for line in printed if line.strip()]


# On disk


def test_what_was_recorded_outlives_a_kill(path: Path) -> None:
    acknowledged = kill_after(start_writer(path), 20)
    assert len(acknowledged) >= 20
    with open_sqlite(path) as store:
        for number in acknowledged:
            assert [one.feedback_id for one in store.feedback_of(f"d_{number}")] == [f"f_{number}"]
            assert store.get_review(review_id_of(f"d_{number}", None)).status is Status.WAITING
        stored = [row["feedback_id"] for row in store._rows("SELECT feedback_id FROM feedback")]
    assert len(stored) - len(acknowledged) in (0, 1)  # the last may be on disk, and its number not printed


def test_processes_write_at_the_same_time_and_lose_nothing(path: Path) -> None:
    with open_sqlite(path) as store:
        writers = [start_writer(path, first, 3) for first in range(3)]
        acknowledged = [number for writer in writers for number in kill_after(writer, 10)]
        assert len(set(acknowledged)) == len(acknowledged) >= 30
        for number in acknowledged:
            assert len(store.feedback_of(f"d_{number}")) == 1


def test_threads_write_at_the_same_time_and_lose_nothing(store: SqliteStore) -> None:
    def record(number: int) -> Recorded:
        given, review = reported(feedback_id=f"f_{number % 40}")
        return store.record_feedback(given, "digest", review)

    with ThreadPoolExecutor(8) as pool:
        recorded = list(pool.map(record, range(80)))
    assert sum(not one.replayed for one in recorded) == 40
    assert len(store.feedback_of("d_1")) == 40


def test_every_commit_is_synced_to_disk(store: SqliteStore) -> None:
    connection = store._connection()
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 30_000


def test_decisions_are_stored_all_or_none(store: SqliteStore) -> None:
    broken = decision(decision_id="d_2", text=None)
    with pytest.raises(sqlite3.IntegrityError):
        store.record_decisions([decision(), broken], [review_of(decision(), ReviewReason.UNCERTAIN, NOON)])
    with pytest.raises(UnknownDecision):
        store.get_decision("d_1")
    with pytest.raises(UnknownReview):
        store.get_review(review_id_of("d_1", None))


# Gone from the disk


def store_markers(store: SqliteStore) -> None:
    """Store a decision with all that belongs to it, each with a marker in it."""
    kept = decision(text="MARKER-TEXT", item_id="MARKER-ITEM")
    review = review_of(kept, ReviewReason.DISAGREEMENT, NOON)
    store.record_decisions([kept], [review])
    store.record_feedback(reported(text="MARKER-AGAIN", note="MARKER-NOTE")[0], "digest", None)
    store.record_annotation(annotation(review, note="MARKER-REMARK"))
    store.settle(label(review, adjudicator="MARKER-ADJUDICATOR"))


def test_erasure_leaves_no_byte_in_the_files(store: SqliteStore, path: Path) -> None:
    store_markers(store)
    assert holds(path, b"MARKER")
    store.delete_decision("d_1")
    assert not holds(path, b"MARKER")


def test_erased_feedback_leaves_no_byte_in_the_files(store: SqliteStore, path: Path) -> None:
    given, review = reported_text("MARKER-TEXT", note="MARKER-NOTE")
    store.record_feedback(given, "digest", review)
    assert holds(path, b"MARKER")
    store.delete_feedback("f_1")
    assert not holds(path, b"MARKER")


def read_on(path: Path) -> sqlite3.Connection:
    """Return a connection in the middle of reading, which keeps the write-ahead log as it is."""
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM decisions").fetchone()
    return reader


def test_what_a_reader_kept_in_the_log_is_gone_with_the_next_write(store: SqliteStore, path: Path) -> None:
    store_markers(store)
    reader = read_on(path)
    store.delete_decision("d_1")
    assert holds(path, b"MARKER") == ["moderato.sqlite3-wal"]
    store.add_review(text_review("while it reads"))
    assert holds(path, b"MARKER") == ["moderato.sqlite3-wal"]
    reader.close()
    store.add_review(text_review("after"))
    assert not holds(path, b"MARKER")


def test_what_a_reader_kept_in_the_log_is_gone_when_the_store_opens_again(store: SqliteStore, path: Path) -> None:
    store_markers(store)
    reader = read_on(path)
    store.delete_decision("d_1")
    reader.close()
    assert holds(path, b"MARKER") == ["moderato.sqlite3-wal"]
    with open_sqlite(path):
        assert not holds(path, b"MARKER")


def test_what_has_expired_is_gone_from_the_files_when_the_store_opens(path: Path) -> None:
    clock = MovableClock()
    with open_sqlite(path, clock) as store:
        store.record_decisions(
            [decision(text="MARKER-TEXT", expires=clock.second(days=1)), decision(decision_id="d_2")]
        )
        clock.move(days=1)
        assert holds(path, b"MARKER")
        with open_sqlite(path, clock):
            assert not holds(path, b"MARKER")
        assert store.get_decision("d_2") == decision(decision_id="d_2")


# An earlier release's file


@pytest.fixture
def old(path: Path) -> Path:
    """Make a file as release 0.1 made it: `r_5` has neither decision nor feedback any more."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(RELEASE_0_1)
    connection.close()
    return path


def test_decisions_and_feedback_of_an_old_file_are_kept(old: Path) -> None:
    with open_sqlite(old) as store:
        assert store.get_decision("d_1") == decision()
        first, _ = reported(created="2026-11-21T12:00:01+00:00")
        second, _ = reported(
            feedback_id="f_2",
            moderator="noa",
            correct=None,
            labels={"insult": False},
            note="a joke",
            created="2026-11-21T12:00:02+00:00",
        )
        assert store.feedback_of("d_1") == store.feedback_of_review(review_id_of("d_1", None)) == [first, second]
        on_text, _ = reported_text("a text", feedback_id="f_3", created="2026-11-21T12:00:03+00:00")
        assert store.feedback_of_review(review_id_of(None, "a text")) == [on_text]


def test_an_old_retry_is_answered_as_before(old: Path) -> None:
    with open_sqlite(old) as store:
        given, review = reported()
        assert store.record_feedback(given, "digest 1", review) == Recorded("f_1", review_queued=True, replayed=True)


def test_old_reviews_get_their_text_once_and_those_without_any_are_dropped(old: Path) -> None:
    with open_sqlite(old) as store:
        of_decision, of_text, of_unstored = store.list_reviews(Status.WAITING, 9).records
    assert of_decision == review_of(decision(), ReviewReason.DISAGREEMENT, "2026-11-21T12:00:01+00:00")
    assert of_decision.action is Action.REVIEW
    assert of_text == text_review("a text", created="2026-11-21T12:00:03+00:00")
    assert of_unstored == text_review(
        "unstored", review_id=review_id_of("d_4", None), decision_id="d_4", created="2026-11-21T12:00:04+00:00"
    )


def test_what_was_erased_from_an_old_file_stays_erased(old: Path) -> None:
    with open_sqlite(old) as store:
        assert store.erased() == {"d_6", review_id_of("d_6", None)}
        store.record_decisions([decision(decision_id="d_6")])
        with pytest.raises(UnknownDecision):
            store.get_decision("d_6")


def test_an_old_file_takes_everything_new(old: Path) -> None:
    with open_sqlite(old) as store:
        store.record_annotation(annotation(text_review("a text")))
        store.settle(label(text_review("a text")))
        store.delete_decision("d_1")
        assert [one.text for one in store.list_reviews(Status.WAITING, 9).records] == ["unstored"]


def test_an_old_file_opened_by_many_at_once_is_brought_on_once(old: Path) -> None:
    begin = threading.Barrier(4)

    def count(_: int) -> int:
        begin.wait()
        with open_sqlite(old) as store:
            return store.count_reviews()[Status.WAITING]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, range(4))) == [3] * 4


def test_a_file_of_a_later_release_is_left_alone(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    with pytest.raises(
        sqlite3.DatabaseError, match="a later release made it: its version is 3, and 2 is the last known"
    ):
        SqliteStore(path)
