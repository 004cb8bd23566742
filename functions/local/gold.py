"""Gold items: texts with a known answer become reviews that look like all others."""

from collections.abc import Iterable
from pathlib import Path

from local.label_files import GoldItem
from moderato.clock import utc_now
from moderato.contracts import ModerateItem
from moderato.judge import Judge
from moderato.loop import pages
from moderato.policy import default_policy
from moderato.retention import Keep, Retention
from moderato.review_queue import ReviewQueue
from moderato.reviews import Status
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore
from moderato.text import letters_of

_PAGE = 500


def add_items(store: SqliteStore, model_directory: Path, items: Iterable[GoldItem]) -> int:
    """Add the items whose text is not among the gold items yet; return how many. Raises BrokenModel."""
    scorer = Scorer.load(model_directory)
    policy = default_policy(scorer.manifest)
    # With a decision of its own an item has scores and reasons, as any other review.
    judge = Judge(scorer, Retention(Keep.ALL, 0.0, lambda: 1.0), utc_now)
    queue = ReviewQueue(store, scorer.manifest.category_names)
    known = {letters_of(item.text) for item in pages(lambda cursor: store.list_reviews(Status.GOLD, _PAGE, cursor))}
    added = 0
    for item in items:
        if letters_of(item.text) in known:
            continue
        known.add(letters_of(item.text))
        decision = judge(ModerateItem(text=item.text), policy, store=True, explain=False).decision
        if decision is not None:
            store.record_decisions([decision])
        added += queue.add_gold(item.text, item.labels, decision)
    return added
