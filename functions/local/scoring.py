"""Rows of texts into results: each scored by the serving scorer and judged by the model's own policy."""

from collections.abc import Iterable, Iterator

import msgspec

from local.texts import BadRow, Row
from moderato.policy import Policy, Reason, decide
from moderato.scorer import Scorer


class Result(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was made of one row. `line` is where it ended in its file; `id` is there when the row had one."""

    line: int
    id: str | None = None
    text: str
    action: str
    flagged: bool
    scores: dict[str, float]
    reasons: list[Reason]


def score_rows(rows: Iterable[Row | BadRow], scorer: Scorer, policy: Policy) -> Iterator[Result | BadRow]:
    """Yield the result of each row, in order; a bad row comes through as it is."""
    for row in rows:
        yield row if isinstance(row, BadRow) else _result(row, scorer, policy)


def _result(row: Row, scorer: Scorer, policy: Policy) -> Result:
    scores = dict(scorer.score(row.text).scores)
    verdict = decide(scores, policy)
    return Result(
        line=row.line,
        id=row.id,
        text=row.text,
        action=verdict.action.value,
        flagged=verdict.is_flagged,
        scores=scores,
        reasons=list(verdict.reasons),
    )
