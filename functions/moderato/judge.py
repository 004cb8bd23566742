"""Texts judged: each scored, decided by a policy, and made into a result and, where it is kept, a decision."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UNSET

from moderato import spans
from moderato.clock import Clock, expiry
from moderato.contracts import MAX_REQUEST_TOKENS, ModerateItem, ModerateResult, Span
from moderato.decisions import Decision, ModelName, PolicyName, new_decision_id
from moderato.errors import TooLarge
from moderato.policy import Policy, decide
from moderato.retention import Kept, Retention
from moderato.reviews import Review, review_of
from moderato.scorer import Piece, Scored, Scorer, cost


@dataclass(frozen=True)
class Outcome:
    """What the caller is told of one text, and what to store: the decision if it is kept, a review if one is needed."""

    result: ModerateResult
    decision: Decision | None = None
    review: Review | None = None


@dataclass(frozen=True)
class Judge:
    """Makes outcomes of texts; pure but for the clock and the draw of the sample."""

    scorer: Scorer
    retention: Retention
    clock: Clock

    @property
    def model(self) -> ModelName:
        """The model whose scores decide."""
        return ModelName(self.scorer.manifest.name, self.scorer.manifest.version)

    def each(self, items: Sequence[ModerateItem], policy: Policy, store: bool, explain: bool) -> list[Outcome]:
        """Judge each text of one request, in their order.

        Raises TooLarge before any is scored when they are more than `MAX_REQUEST_TOKENS` for the model.
        """
        texts = self._pieces_within_limit(items, explain)
        return [self._judge(item, pieces, policy, store, explain) for item, pieces in zip(items, texts, strict=True)]

    def __call__(self, item: ModerateItem, policy: Policy, store: bool, explain: bool) -> Outcome:
        """Judge one text by a policy; `store` false keeps nothing, `explain` adds spans."""
        return self._judge(item, self.scorer.pieces(item.text), policy, store, explain)

    def _pieces_within_limit(self, items: Sequence[ModerateItem], explain: bool) -> list[list[Piece]]:
        left = MAX_REQUEST_TOKENS
        texts = []
        for item in items:
            pieces = self.scorer.pieces(item.text)
            left -= cost(pieces) + (spans.cost(item.text, pieces) if explain else 0)
            if left < 0:
                fewer = "fewer or shorter texts" + (", or do without `explain`" if explain else "")
                raise TooLarge(f"the model may read {MAX_REQUEST_TOKENS} tokens for one request; send {fewer}")
            texts.append(pieces)
        return texts

    def _judge(
        self, item: ModerateItem, pieces: Sequence[Piece], policy: Policy, store: bool, explain: bool
    ) -> Outcome:
        scored = self.scorer.read(pieces)
        verdict = decide(scored.scores, policy)
        kept = self.retention(scored.scores, verdict, policy) if store else None
        result = ModerateResult(
            decision_id=new_decision_id(),
            action=verdict.action,
            flagged=verdict.is_flagged,
            scores=dict(scored.scores),
            reasons=list(verdict.reasons),
            stored=kept is not None,
            spans=self._spans(item.text, scored, policy) if explain else UNSET,
            id=UNSET if item.id is None else item.id,
        )
        if kept is None:
            return Outcome(result)
        decision = self._decision(item, result, kept, policy)
        review = None if kept.review is None else review_of(decision, kept.review, decision.created)
        return Outcome(result, decision, review)

    def _spans(self, text: str, scored: Scored, policy: Policy) -> list[Span]:
        return spans.locate(self.scorer, text, scored, {name: at.review for name, at in policy.thresholds.items()})

    def _decision(self, item: ModerateItem, result: ModerateResult, kept: Kept, policy: Policy) -> Decision:
        now = self.clock()
        return Decision(
            decision_id=result.decision_id,
            text=item.text,
            scores=result.scores,
            action=result.action,
            reasons=result.reasons,
            model=self.model,
            policy=PolicyName(policy.name, policy.version),
            created=now.isoformat(),
            kept_because=kept.because,
            sampling_probability=kept.probability,
            item_id=item.id,
            expires=expiry(now, self.retention.keep_days),
        )
