"""Texts into calibrated scores: the model directory's ONNX graph, one text at a time at its exact length."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# onnxruntime writes a device id to the home folder and carries a collector's address; we report to nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from moderato.artifact import Category, Manifest, Problem, load_manifest, verify_files
from moderato.errors import BrokenModel
from moderato.text import View, fold, normalize

GOLDEN_TOLERANCE = 0.04
"""How far a score may be from its golden answer: int8 products differ by up to this between kinds of CPU."""

_SCORE_DECIMALS = 6


@dataclass(frozen=True)
class Window:
    """A piece of a text that the model read at once: its range in the original (end exclusive) and its logits."""

    start: int
    end: int
    logits: tuple[float, ...]


@dataclass(frozen=True)
class Scored:
    """The scores of one text, and the windows that they are pooled from."""

    scores: Mapping[str, float]
    windows: Sequence[Window]


class Scorer:
    """A verified model, ready to score. Thread-safe: the session is shared, and each run has its own memory."""

    def __init__(self, manifest: Manifest, session: onnxruntime.InferenceSession, tokenizer: Tokenizer) -> None:
        self.manifest = manifest
        self._session = session
        self._tokenizer = tokenizer
        self._first, self._last = _edges(tokenizer)

    @classmethod
    def load(cls, directory: Path) -> "Scorer":
        """Load a model directory and prove it: every digest, then one golden answer.

        Raises BrokenModel, which says which file, what was expected and what was found.
        """
        manifest = load_manifest(directory)
        verify_files(directory, manifest)
        scorer = cls.open(directory, manifest)
        scorer.check_golden(directory / "golden.jsonl", at_most=1)
        return scorer

    @classmethod
    def open(cls, directory: Path, manifest: Manifest) -> "Scorer":
        """Open a directory's graph and tokenizer without proof: for training, before there are golden answers.

        Raises BrokenModel for a file that is no graph, or no tokenizer.
        """
        session = _session(directory / "model.onnx")
        outputs = session.get_outputs()[0].shape[-1]
        if outputs != len(manifest.categories):
            raise BrokenModel(
                f"{directory / 'model.onnx'} has {outputs} outputs, "
                f"but the manifest {len(manifest.categories)} categories"
            )
        tokenizer = _tokenizer(directory / "tokenizer.json")
        tokenizer.no_truncation()
        tokenizer.no_padding()
        # A user's literal "[SEP]" is text, not the end of it.
        tokenizer.encode_special_tokens = True
        return cls(manifest, session, tokenizer)

    def score(self, text: str) -> Scored:
        """Calibrated scores by category, pooled over the text's views and windows.

        The result depends on the text alone, never on its neighbours in a request. Any string is welcome.
        """
        windows = self.windows(text)
        return Scored(self.calibrate(self._pool(windows)), windows)

    def pooled(self, text: str) -> list[float]:
        """Logits in output order, pooled over views and windows and not calibrated: what training judges a model by."""
        return self._pool(self.windows(text))

    def windows(self, text: str) -> list[Window]:
        """The logits of every window of the clean view and, where words are disguised, of the folded view."""
        clean = normalize(text)
        folded = fold(clean)
        return [window for view in (clean, folded) if view is not None for window in self._read(view)]

    def calibrate(self, logits: Sequence[float]) -> dict[str, float]:
        """Logits in output order as calibrated scores by category."""
        categories = self.manifest.categories
        calibrated = [_calibrated(category, logit) for category, logit in zip(categories, logits, strict=True)]
        scores = _softmax(calibrated) if self._is_single_label else [_sigmoid(value) for value in calibrated]
        return {
            category.name: round(score, _SCORE_DECIMALS) for category, score in zip(categories, scores, strict=True)
        }

    def check_golden(self, path: Path, at_most: int | None = None) -> None:
        """Score golden texts and compare. Raises BrokenModel when a score is off by more than `GOLDEN_TOLERANCE`."""
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:at_most], start=1):
            if line:
                golden = json.loads(line)
                self._check_answer(f"{path} line {number}", golden["text"], golden["scores"])

    @property
    def _is_single_label(self) -> bool:
        return self.manifest.problem is Problem.SINGLE_LABEL

    def _pool(self, windows: Sequence[Window]) -> list[float]:
        """Harm anywhere is harm, so its highest logit counts; a topic is what a text is about on the whole."""
        by_category = zip(*(window.logits for window in windows), strict=True)
        if self._is_single_label:
            return [sum(logits) / len(windows) for logits in by_category]
        return [max(logits) for logits in by_category]

    def _check_answer(self, where: str, text: str, expected: Mapping[str, float]) -> None:
        found = self.score(text).scores
        if found.keys() != expected.keys():
            raise BrokenModel(f"{where} has scores for {sorted(expected)}, but the manifest for {sorted(found)}")
        for category, score in expected.items():
            if not abs(found[category] - score) <= GOLDEN_TOLERANCE:
                raise BrokenModel(f"{where}: expected {category} {score:.4f}, found {found[category]:.4f}")

    def _read(self, view: View) -> list[Window]:
        encoding = self._tokenizer.encode(view.text, add_special_tokens=False)
        ids, offsets = encoding.ids, encoding.offsets
        windows: list[Window] = []
        known: dict[tuple[int, ...], tuple[float, ...]] = {}
        for first, last in _ranges(len(ids), self.manifest.window_tokens - 2, self.manifest.overlap_tokens):
            piece = tuple(ids[first:last])
            # A text that repeats itself is read once: 20,000 exclamation marks cost no more than 126.
            if piece not in known:
                known[piece] = self._run(piece)
            start = view.original(*offsets[first])[0] if ids else 0
            end = view.original(*offsets[last - 1])[1] if ids else len(view.text)
            windows.append(Window(start, end, known[piece]))
        return windows

    def _run(self, ids: Sequence[int]) -> tuple[float, ...]:
        # Never padded, never batched: dynamic int8 scales by tensor, so neighbours would move the scores.
        tokens = np.array([[self._first, *ids, self._last]], dtype=np.int64)  # (1, token)
        logits = self._session.run(None, {"input_ids": tokens})[0][0]  # (category,)
        return tuple(float(logit) for logit in logits)


def _session(path: Path) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(path), _session_options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  # its errors have no other class in common
        raise BrokenModel(f"{path} is no graph that can be run: expected ONNX, found {type(error).__name__}") from None


def _tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception:  # noqa: BLE001  # it has no class of its own
        raise BrokenModel(f"{path} is no tokenizer: expected the JSON of the library tokenizers") from None


def _edges(tokenizer: Tokenizer) -> tuple[int, int]:
    """The tokens before and after a text: BERT's, or RoBERTa's."""
    for first, last in (("[CLS]", "[SEP]"), ("<s>", "</s>")):
        before, after = tokenizer.token_to_id(first), tokenizer.token_to_id(last)
        if before is not None and after is not None:
            return before, after
    raise BrokenModel("tokenizer.json has neither [CLS] and [SEP] nor <s> and </s>, so a text has no beginning")


def _session_options() -> onnxruntime.SessionOptions:
    """One thread, no spinning, no optimizing: two spinning threads on less than two cores cost 2 to 3 times the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # The graph was optimized when it was exported.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return options


def _ranges(length: int, size: int, overlap: int) -> list[tuple[int, int]]:
    """Overlapping ranges of at most `size` that cover `length`; the last one is as long as the others."""
    if length <= size:
        return [(0, length)]
    starts = [*range(0, length - size, size - overlap), length - size]
    return [(start, start + size) for start in starts]


def _calibrated(category: Category, logit: float) -> float:
    return category.calibration.scale * logit + category.calibration.shift


def _softmax(values: Sequence[float]) -> list[float]:
    highest = max(values)
    powers = [math.exp(value - highest) for value in values]
    whole = sum(powers)
    return [power / whole for power in powers]


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, value))))
