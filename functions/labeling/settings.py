"""How labeling is set up: when a job is worth starting, how its work is done, and from when it is believed."""

from dataclasses import dataclass
from datetime import timedelta

from moderato.groundtruth import THRESHOLD
from moderato.groundtruth_jobs import Task


@dataclass(frozen=True)
class Settings:
    """A job starts when `fewest` reviews wait, or the oldest has waited for `longest_wait`."""

    task: Task
    fewest: int = 100
    most: int = 1_000
    """Reviews in one job. A batch's list has to fit into one record of 400 KB: 5,000 ids do."""
    longest_wait: timedelta = timedelta(days=3)
    threshold: float = THRESHOLD
    """The confidence from which a label of Ground Truth's own consolidation counts."""
