"""An answered feedback outlives kill -9: the benchmark of bench/crash.py, small."""

from pathlib import Path

from bench.crash import crash, every_answers


def test_kill_9_loses_no_answered_feedback_and_duplicates_none(tmp_path: Path) -> None:
    outcome = crash(tmp_path, writes=120, wait_for_kill=every_answers(40), writes_per_second=None)
    assert outcome.acknowledged == 120
    assert outcome.kills >= 2
    assert (outcome.lost, outcome.duplicated, outcome.stuck) == (0, 0, 0)
