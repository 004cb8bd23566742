"""A run over many texts: a progress bar, bad rows named one by one, and the results where they are wanted."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from local.outputs import Write, jsonl_writer, results_file
from local.scoring import Result, score_rows
from local.tables import counts_line, result_table, results_table
from local.texts import BadRow, Row
from moderato.policy import Policy, default_policy
from moderato.scorer import Scorer

SHOWN_RESULTS = 100
"""Results that a terminal shows; a pipe and a file get all."""


@dataclass(frozen=True)
class Batch:
    """A model ready to score rows, and the two streams of a terminal."""

    scorer: Scorer
    policy: Policy
    results: Console
    messages: Console

    @classmethod
    def open(cls, model_directory: Path) -> "Batch":
        """Load and verify the model. Raises BrokenModel."""
        scorer = Scorer.load(model_directory)
        return cls(scorer, default_policy(scorer.manifest), Console(), Console(stderr=True, highlight=False))

    def run(self, rows: Iterable[Row | BadRow], output: Path | None, lines: int) -> bool:
        """Score the rows of a source with so many lines; return whether any row could be scored, or there was none."""
        counts: Counter[str] = Counter()
        shown: list[Result] = []
        bad_rows = 0
        with self._writer(output) as write:
            for result in self._with_bar(score_rows(rows, self.scorer, self.policy), lines):
                if isinstance(result, BadRow):
                    bad_rows += 1
                    self.messages.print(f"line {result.line}: {result.why}", markup=False, soft_wrap=True)
                    continue
                counts[result.action] += 1
                shown.extend([result] if len(shown) < SHOWN_RESULTS else [])
                write(result)
        if output or self.results.is_terminal:
            self._tell(output, shown, counts, bad_rows)
        return counts.total() > 0 or bad_rows == 0

    def _writer(self, output: Path | None) -> AbstractContextManager[Write]:
        if output is not None:
            return results_file(output, self.scorer.manifest.category_names)
        if self.results.is_terminal:
            return nullcontext(lambda _: None)
        return nullcontext(jsonl_writer(sys.stdout))

    def _with_bar(self, results: Iterator[Result | BadRow], lines: int) -> Iterator[Result | BadRow]:
        columns = (TextColumn("line"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
        is_hidden = lines == 1 or not self.messages.is_terminal
        with Progress(*columns, console=self.messages, transient=True, disable=is_hidden) as progress:
            task = progress.add_task("", total=lines)
            for result in results:
                progress.update(task, completed=result.line)
                yield result

    def _tell(self, output: Path | None, shown: Sequence[Result], counts: Counter[str], bad_rows: int) -> None:
        if output is not None:
            self.messages.print(f"{counts_line(counts, bad_rows)}; written to {output}", markup=False, soft_wrap=True)
            return
        if counts.total() == 1:
            self.results.print(result_table(shown[0], self.policy))
            return
        self.results.print(results_table(shown))
        if counts.total() > len(shown):
            self.messages.print(f"... and {counts.total() - len(shown)} more: --output FILE keeps all", markup=False)
        self.messages.print(counts_line(counts, bad_rows), markup=False)
