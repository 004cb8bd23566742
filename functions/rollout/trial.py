"""The trial of a new version: it is ready, has the model that was tested, and gives all of its golden answers."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aws_lambda_powertools import Logger

from moderato.artifact import Manifest, load_manifest, record_file
from moderato.contracts import (
    MAX_TEXT_CHARACTERS,
    Health,
    ModelResponse,
    ModerateItem,
    ModerateRequest,
    ModerateResponse,
    ModerateResult,
)
from moderato.decisions import ModelName
from moderato.golden import GOLDEN, Golden, misses, read_golden
from rollout.version import Doubt, NewVersion

BATCH = 16
"""Golden texts in one request: the first one finds a cold function, and has to be answered in time too."""

Indexed = tuple[int, Golden]


class Trial:
    """Puts a new version to the test. Any doubt is a Doubt, or whatever else was raised on the way."""

    def __init__(self, model: Path, version: NewVersion, logger: Logger) -> None:
        """Expect what the model directory says, of which the manifest and the golden answers are needed."""
        self._directory, self._version, self._logger = model, version, logger

    def run(self, require_time: Callable[[], None]) -> float:
        """Return how far the worst score is from its golden answer; `require_time` is called before each question."""
        manifest = load_manifest(self._directory)
        golden = list(enumerate(self._golden(manifest)))
        require_time()
        self._version.get("/readyz", Health)
        require_time()
        self._expect_model(manifest)
        differences: list[float] = []
        missed: list[int] = []
        for batch in _batches(golden):
            require_time()
            for (index, one), result in zip(batch, self._results(batch, manifest), strict=True):
                differences.append(max(abs(result.scores[name] - score) for name, score in one.scores.items()))
                missed += [index] if self._misses(index, one, result) else []
        if missed:
            raise Doubt(f"{len(missed)} of {len(golden)} golden texts have other scores than the model was made with")
        return max(differences)

    def _golden(self, manifest: Manifest) -> list[Golden]:
        path = self._directory / GOLDEN
        if record_file(path) != manifest.files.get(GOLDEN):
            raise Doubt(f"{GOLDEN} is not the file that the model's manifest speaks of")
        return read_golden(path)

    def _expect_model(self, manifest: Manifest) -> None:
        found = self._version.get("/model", ModelResponse).manifest
        if found.sha256 != manifest.sha256:
            raise Doubt(f"the new version has the model {_told(found)}, expected {_told(manifest)}")

    def _results(self, batch: Sequence[Indexed], manifest: Manifest) -> list[ModerateResult]:
        items = [ModerateItem(one.text, str(index)) for index, one in batch]
        answer = self._version.post("/moderate", ModerateRequest(items=items, store=False), ModerateResponse)
        if answer.model != ModelName(manifest.name, manifest.version):
            raise Doubt("the scores come from another model than the one that /model shows")
        if [result.id for result in answer.results] != [item.id for item in items]:
            raise Doubt(f"{len(items)} texts were sent, and the results are not theirs, in their order")
        if any(result.scores.keys() != set(manifest.category_names) for result in answer.results):
            raise Doubt("a text has scores for other categories than the model's manifest")
        if any(result.stored for result in answer.results):
            raise Doubt("a golden text was stored, though that was not allowed")
        return answer.results

    def _misses(self, index: int, golden: Golden, result: ModerateResult) -> bool:
        found = misses(golden, result.scores)
        for miss in found:
            fields = {"category": miss.category, "expected": miss.expected, "found": miss.found}
            self._logger.error("golden_text_missed", extra={"index": index, **fields})
        return bool(found)


def _batches(golden: Sequence[Indexed]) -> Iterator[list[Indexed]]:
    """Yield the texts in their order, few enough for one request that they are never too much for it."""
    batch: list[Indexed] = []
    for index, one in golden:
        characters = sum(len(other.text) for _, other in batch) + len(one.text)
        if len(batch) == BATCH or (batch and characters > MAX_TEXT_CHARACTERS):
            yield batch
            batch = []
        batch.append((index, one))
    yield batch


def _told(manifest: Manifest) -> str:
    return f"{manifest.name} {manifest.version} ({manifest.sha256[:12]})"
