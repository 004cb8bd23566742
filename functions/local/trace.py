"""What a trace tells: a model and all that it comes from, or a record and all that came of it.

decision > feedback > review > annotations > label > dataset version > model
"""

import msgspec

from moderato.artifact import DatasetRecord

STORED = "stored"
ERASED = "erased"
GONE = "not here"
"""Expired, or in another data folder."""


class DecisionTrace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A decision: when, by which model, and what it was. `state` says whether it can still be looked up."""

    decision_id: str
    state: str
    created: str | None = None
    model: str | None = None
    action: str | None = None


class FeedbackTrace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a moderator said."""

    feedback_id: str
    state: str
    created: str | None = None
    moderator: str | None = None
    correct: bool | None = None
    labels: dict[str, bool] | None = None


class AnswerTrace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an annotator, or an adjudicator, answered; `labels` None = skipped."""

    annotator: str
    created: str
    labels: list[str] | None
    is_adjudication: bool = False


class LabelTrace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A review with the answers to it, the label that they settled on, and what it came from."""

    review_id: str
    state: str
    reason: str | None = None
    status: str | None = None
    values: dict[str, bool | None] | None = None
    """None where nothing is settled."""
    method: str | None = None
    settled: str | None = None
    annotators: list[str] = []
    answers: list[AnswerTrace] = []
    decision: DecisionTrace | None = None
    feedback: list[FeedbackTrace] = []


class VersionTrace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A dataset version, and the labels that it has and its parent has not."""

    name: str
    version: str
    digest: str
    folder: str | None = None
    """None where it is not at hand: then nothing is known of its labels."""
    labels: list[LabelTrace] = []


class ModelTrace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model and the dataset versions that it comes from, the youngest first."""

    name: str
    version: str
    sha256: str
    parent: str | None = None
    """Digest of the model that its training went on from."""
    datasets: list[VersionTrace]


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose dataset has a label."""

    name: str
    version: str
    sha256: str
    directory: str


class RecordTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, feedback or review: its label, the dataset versions that have it, and the models trained on them."""

    id: str
    label: LabelTrace
    datasets: list[DatasetRecord]
    held_out: bool
    """Whether those versions keep it out of training, to compare models by it."""
    models: list[Learned]
