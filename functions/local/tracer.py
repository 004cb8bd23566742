"""Follows the loop: from a model back to the decisions that it learned from, and from a record on to the models."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from local.lineage import Addition, Lineage, Version
from local.trace import (
    ERASED,
    GONE,
    STORED,
    AnswerTrace,
    DecisionTrace,
    FeedbackTrace,
    LabelTrace,
    Learned,
    ModelTrace,
    RecordTrace,
    VersionTrace,
)
from moderato.artifact import DatasetRecord, Manifest
from moderato.errors import UnknownDecision, UnknownReview
from moderato.loop import pages
from moderato.reviews import Status, review_id_of
from moderato.store import Store

_PAGE = 500


class UnknownRecord(Exception):
    """Nothing is stored, erased, or in a dataset under the id; the message is one sentence."""


class Tracer:
    """Follows what is stored and what is at hand; it changes nothing."""

    def __init__(self, store: Store, lineage: Lineage) -> None:
        """Follow the records of a store into the versions and models of a lineage."""
        self._store = store
        self._lineage = lineage
        self._erased = store.erased()

    def model(self, manifest: Manifest) -> ModelTrace:
        """Return where a model comes from."""
        line = self._lineage.line_of(manifest.dataset.digest)
        return ModelTrace(
            name=manifest.name,
            version=manifest.version,
            sha256=manifest.sha256,
            parent=manifest.parent,
            datasets=self._versions(manifest.dataset, line),
        )

    def record(self, identifier: str) -> RecordTrace:
        """Return where a decision, feedback or review led to. Raises UnknownRecord."""
        found = [(version, each) for version in self._lineage.versions for each in version.additions()]
        having = [(version, each) for version, each in found if identifier in each.ids]
        if not having:
            review_id = self._review_id(identifier)
            having = [(version, each) for version, each in found if each.review_id == review_id]
            label = self._label(review_id, None)
        else:
            label = self._label(having[0][1].review_id, having[0][1])
        digests = {version.description.digest for version, _ in having}
        return RecordTrace(
            id=identifier,
            label=label,
            datasets=[_record_of(version) for version, _ in having],
            held_out=bool(having) and all(each.split != "train" for _, each in having),
            models=self._learned(digests),
        )

    def _review_id(self, identifier: str) -> str:
        """The review that a record has, or would have."""
        kind = identifier[:2]
        if kind not in ("d_", "f_", "r_"):
            raise UnknownRecord(
                f"{identifier} is neither a model directory nor the id of a decision (d_...), feedback (f_...) or "
                "review (r_...)"
            )
        review_id = {"d_": review_id_of(identifier, None), "r_": identifier}.get(kind) or self._reviewed_by(identifier)
        if not (identifier in self._erased or (review_id and self._is_known(review_id, identifier))):
            raise UnknownRecord(f"nothing is stored, or in a dataset at hand, under the id {identifier}")
        return review_id

    def _is_known(self, review_id: str, identifier: str) -> bool:
        # Feedback that agrees has no review, and a decision need not have one.
        return identifier[:2] == "f_" or self._state_of_review(review_id) != GONE or self._is_decision(identifier)

    def _is_decision(self, identifier: str) -> bool:
        return self._decision(identifier).state == STORED

    def _reviewed_by(self, feedback_id: str) -> str:
        """The review of a feedback, "" where there is none; looks through all: a laptop's store is small."""
        for review_id in chain(self._reviews(), self._reviews_of_decisions()):
            if any(each.feedback_id == feedback_id for each in self._store.feedback_of_review(review_id)):
                return review_id
        return ""

    def _reviews(self) -> Iterator[str]:
        for status in Status:
            for review in pages(partial(self._store.list_reviews, status, _PAGE)):
                yield review.review_id

    def _reviews_of_decisions(self) -> Iterator[str]:
        for decision in pages(partial(self._store.list_decisions, _PAGE)):
            yield review_id_of(decision.decision_id, None)

    def _learned(self, digests: Collection[str]) -> list[Learned]:
        return [
            Learned(
                name=model.manifest.name,
                version=model.manifest.version,
                sha256=model.manifest.sha256,
                directory=str(model.directory),
            )
            for model in self._lineage.models
            if model.manifest.dataset.digest in digests
        ]

    def _versions(self, record: DatasetRecord, line: Sequence[Version]) -> list[VersionTrace]:
        if not line:
            return [VersionTrace(name=record.name, version=record.version, digest=record.digest)]
        traces = [
            self._version(version, {each.review_id for each in older.additions()} if older else set())
            for version, older in zip(line, [*line[1:], None], strict=True)
        ]
        parent = line[-1].description.parent
        if isinstance(parent, DatasetRecord):  # named, and not at hand
            traces.append(VersionTrace(name=parent.name, version=parent.version, digest=parent.digest))
        return traces

    def _version(self, version: Version, known_before: Collection[str]) -> VersionTrace:
        description = version.description
        added = [each for each in version.additions() if each.review_id not in known_before]
        return VersionTrace(
            name=description.name,
            version=description.version,
            digest=description.digest,
            folder=str(version.folder),
            labels=[self._label(each.review_id, each) for each in added],
        )

    def _label(self, review_id: str, addition: Addition | None) -> LabelTrace:
        """What is known of a review: from the store, and where it is gone from there, from the dataset."""
        state = self._state_of_review(review_id)
        review = self._store.get_review(review_id) if state == STORED else None
        label = self._store.get_label(review_id) if state == STORED else None
        feedback = self._feedback(review_id, addition)
        decision_id = review.decision_id if review else addition.decision_id if addition else None
        source = label or addition
        return LabelTrace(
            review_id=review_id,
            state=state,
            reason=None if review is None else review.reason,
            status=None if review is None else review.status,
            values=None if source is None else source.values,
            method=None if source is None else source.method,
            settled=None if source is None else source.created,
            annotators=[] if source is None else source.annotators,
            answers=self._answers(review_id) if state == STORED else [],
            decision=None if decision_id is None else self._decision(decision_id),
            feedback=feedback,
        )

    def _state_of_review(self, review_id: str) -> str:
        if review_id in self._erased:
            return ERASED
        try:
            self._store.get_review(review_id)
        except UnknownReview:
            return GONE
        return STORED

    def _answers(self, review_id: str) -> list[AnswerTrace]:
        return [
            AnswerTrace(
                annotator=each.annotator,
                created=each.created,
                labels=each.labels,
                is_adjudication=each.is_adjudication,
            )
            for each in self._store.annotations_of(review_id)
        ]

    def _decision(self, decision_id: str) -> DecisionTrace:
        try:
            found = self._store.get_decision(decision_id)
        except UnknownDecision:
            return DecisionTrace(decision_id=decision_id, state=ERASED if decision_id in self._erased else GONE)
        return DecisionTrace(
            decision_id=decision_id,
            state=STORED,
            created=found.created,
            model=f"{found.model.name} {found.model.version}",
            action=found.action,
        )

    def _feedback(self, review_id: str, addition: Addition | None) -> list[FeedbackTrace]:
        stored: Mapping[str, FeedbackTrace] = {
            each.feedback_id: FeedbackTrace(
                feedback_id=each.feedback_id,
                state=STORED,
                created=each.created,
                moderator=each.moderator,
                correct=each.correct,
                labels=each.labels,
            )
            for each in self._store.feedback_of_review(review_id)
        }
        named = [] if addition is None else addition.feedback_ids
        gone = [each for each in named if each not in stored]
        is_erased = review_id in self._erased  # then all that was about it is
        return [
            *stored.values(),
            *(
                FeedbackTrace(feedback_id=each, state=ERASED if is_erased or each in self._erased else GONE)
                for each in gone
            ),
        ]


def _record_of(version: Version) -> DatasetRecord:
    description = version.description
    return DatasetRecord(description.name, description.version, description.digest)


def lineage_around(model_directory: Path | None, data_directory: Path) -> Lineage:
    """Return the versions and models at hand, and those beside a model directory."""
    if model_directory is None:
        return Lineage.find(data_directory)
    return Lineage.find(data_directory, beside=[model_directory, model_directory.parent / "dataset"])
