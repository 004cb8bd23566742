"""Erasure in DynamoDB: first what remembers it, which hides all the rest, and then the rest.

A try that is cut off leaves nothing that can be read; the next one of the same id finishes it.
"""

from collections.abc import Sequence

from moderato.decisions import Feedback
from moderato.dynamodb_decisions import DynamoDecisions, is_erased_case, is_feedback
from moderato.dynamodb_items import (
    REPORTS,
    Item,
    Request,
    case_of,
    decision_key,
    feedback_place,
    item_of_erased,
    key_of,
    label_key,
    record_of,
    request_key,
    review_id_in,
    review_key,
)
from moderato.dynamodb_writes import ABSENT, Write, Writer
from moderato.refusals import unknown_decision, unknown_feedback


class DynamoErasure(DynamoDecisions):
    """The part of `moderato.store.Store` that erases decisions and feedback."""

    def delete_decision(self, decision_id: str) -> None:
        """Erase a decision with all that belongs to it."""
        writer, partition = self._writer(), case_of(decision_id, None)
        stored = _left(self._partition(partition))
        if stored:
            remembered = writer.put(item_of_erased(decision_key(decision_id), decision_id))
            self._transact(remembered, *_forget_review(writer, partition))
            self._sweep(partition)
        if not any(self._is_live(item) for item in stored):
            raise unknown_decision()

    def delete_feedback(self, feedback_id: str) -> None:
        """Erase one feedback, and the review of a text without a decision that no other feedback is on."""
        given = self._forget_feedback(feedback_id)
        if given is None:
            raise unknown_feedback()
        was_left = self._sweep(str(given["partition"]))
        was_cut_off = "erased" in given and was_left
        if not self._is_live(given) and not was_cut_off:
            raise unknown_feedback()

    def _forget_feedback(self, feedback_id: str) -> Item | None:
        """Put what remembers the feedback in its place, and return what was there."""
        writer = self._writer()
        for _ in self._tries():
            given = self._get(request_key(feedback_id))
            if given is None or "erased" in given:
                break
            if not self._transact(*self._forgetting(writer, feedback_id, given)):
                break
        return given

    def _forgetting(self, writer: Writer, feedback_id: str, given: Item) -> list[Write]:
        partition, key = str(given["partition"]), request_key(feedback_id)
        forgetting = [
            writer.renew(item_of_erased(key, feedback_id, partition=partition), given),
            writer.remove((partition, feedback_place(feedback_id))),
        ]
        items = {item["sk"]: item for item in self._partition(partition) if item["sk"] != feedback_place(feedback_id)}
        others = [sk for sk, item in items.items() if is_feedback(item) and self._is_live(item)]
        if record_of(Request, given).decision_id is not None or others:
            return forgetting
        return [*forgetting, *_forget_review(writer, partition), _no_other_came(writer, partition, items.get(REPORTS))]

    def _sweep(self, partition: str) -> bool:
        """Remove what is left of an erased case; False when nothing is."""
        items = self._partition(partition)
        left = _left(items) if is_erased_case(items) else []
        # What says that feedback was given goes first: as long as the feedback lies there, a next try finds both.
        self._delete([request_key(record_of(Feedback, item).feedback_id) for item in left if is_feedback(item)])
        self._delete([key_of(item) for item in left])
        return bool(left)


def _left(items: Sequence[Item]) -> list[Item]:
    return [item for item in items if "erased" not in item]


def _forget_review(writer: Writer, partition: str) -> list[Write]:
    review_id = review_id_in(partition)
    return [writer.put(item_of_erased(review_key(review_id), review_id)), writer.remove(label_key(review_id))]


def _no_other_came(writer: Writer, partition: str, reports: Item | None) -> Write:
    """Return a write that fails when more feedback on the text came since `reports` was read."""
    key = partition, REPORTS
    return writer.check(key, ABSENT) if reports is None else writer.remove(key, reports)
