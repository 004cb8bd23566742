"""Decisions and feedback in DynamoDB."""

from collections.abc import Iterable, Sequence

from moderato.decisions import Decision, Feedback, Recorded
from moderato.dynamodb_items import (
    DECISIONS,
    ERASED,
    REPORTS,
    Item,
    Request,
    case,
    case_of,
    decision_key,
    feedback_place,
    item_of_decision,
    item_of_feedback,
    item_of_request,
    item_of_review,
    record_of,
    request_key,
)
from moderato.dynamodb_table import DynamoTable
from moderato.dynamodb_writes import FREE, NOT_ERASED, Write, Writer
from moderato.refusals import erased_feedback, erased_subject, refuse_another_request, unknown_decision
from moderato.reviews import Review
from moderato.store import Page


class DynamoDecisions(DynamoTable):
    """The part of `moderato.store.Store` that is about decisions and feedback, save their erasure."""

    def record_decisions(self, decisions: Sequence[Decision], reviews: Sequence[Review] = ()) -> None:
        """Store decisions and their reviews, each decision together with its review; one that is there stays."""
        writer = self._writer()
        of_case: dict[str, dict[str, Write]] = {}
        for item in (*map(item_of_decision, decisions), *map(item_of_review, reviews)):
            of_case.setdefault(str(item["pk"]), {}).setdefault(str(item["sk"]), writer.put(item, FREE))
        # What remembers an erased decision lies in its place and its review's: neither is free.
        self._write_what_can(list(writes.values()) for writes in of_case.values())

    def get_decision(self, decision_id: str) -> Decision:
        """Return the decision, or raise UnknownDecision."""
        item = self._get_live(decision_key(decision_id))
        if item is None:
            raise unknown_decision()
        return record_of(Decision, item)

    def list_decisions(self, limit: int, cursor: str | None = None) -> Page[Decision]:
        """Return decisions, the newest first."""
        return self._page(Decision, [DECISIONS], limit, cursor, newest_first=True)

    def record_feedback(self, feedback: Feedback, request_digest: str, review: Review | None) -> Recorded:
        """Store the feedback and its review in one transaction, or answer what the first try was answered."""
        writer, item = self._writer(), item_of_feedback(feedback)
        partition = str(item["pk"])
        request = Request(request_digest, review is not None, partition, feedback.decision_id)
        once = writer.put(item_of_request(feedback.feedback_id, request, feedback.expires), FREE)
        for _ in self._tries():
            if not self._transact(once, writer.put(item), *self._beside(writer, feedback, item, review)):
                break
            if (recorded := self._replayed(feedback, partition, request_digest)) is not None:
                return recorded
        return Recorded(feedback.feedback_id, review_queued=request.review_queued, replayed=False)

    def feedback_of(self, decision_id: str) -> list[Feedback]:
        """Return the feedback on a decision, oldest first."""
        found = self._feedback(case_of(decision_id, None))
        return [feedback for feedback in found if feedback.decision_id == decision_id]

    def feedback_of_review(self, review_id: str) -> list[Feedback]:
        """Return the feedback whose `review_id` is this, oldest first."""
        return [feedback for feedback in self._feedback(case(review_id)) if feedback.review_id == review_id]

    def erased(self) -> set[str]:
        """Return the ids of all that was erased: decisions, reviews, feedback."""
        return {position for position, _ in self._listed(ERASED)}

    def _case(self, partition: str) -> list[Item]:
        """Return what is stored of a case; nothing, where it is erased and some of it is still to be removed."""
        items = self._partition(partition)
        return [] if is_erased_case(items) else [item for item in items if self._is_live(item)]

    def _feedback(self, partition: str) -> list[Feedback]:
        items = filter(is_feedback, self._case(partition))
        found = [record_of(Feedback, item) for item in items]
        return sorted(found, key=lambda feedback: (feedback.created, feedback.feedback_id))

    def _beside(self, writer: Writer, feedback: Feedback, item: Item, review: Review | None) -> list[Write]:
        """Return what is written together with feedback: its review, or that none is erased, and that it was given."""
        partition = str(item["pk"])
        stored = self._get((partition, "review"))
        is_free = not self._is_live(stored) and (stored is None or "erased" not in stored)
        if review is not None and is_free:
            beside = [writer.put(item_of_review(review), FREE)]
        else:
            beside = [writer.check((partition, "review"), NOT_ERASED)]
        if feedback.decision_id is None:
            # Erasure of a text's last feedback takes its review along: by this it sees that another came meanwhile.
            beside.append(writer.update((partition, REPORTS), {"expires": feedback.expires}))
        return beside

    def _replayed(self, feedback: Feedback, partition: str, request_digest: str) -> Recorded | None:
        """Return what an earlier try was answered; None when there was none, and another try may do."""
        subject = self._get((partition, "review"))
        if subject is not None and "erased" in subject:
            raise erased_subject(feedback)
        item = self._get(request_key(feedback.feedback_id))
        if item is not None and "erased" in item:
            raise erased_feedback()
        if not self._is_live(item):
            return None
        request = record_of(Request, item)
        refuse_another_request(request.digest, request_digest)
        return Recorded(feedback.feedback_id, review_queued=request.review_queued, replayed=True)


def is_feedback(item: Item) -> bool:
    """Return whether an item of a case is feedback."""
    return str(item["sk"]).startswith(feedback_place(""))


def is_erased_case(items: Iterable[Item]) -> bool:
    """Return whether the case that has these items was erased."""
    return any(item["sk"] == "review" and "erased" in item for item in items)
