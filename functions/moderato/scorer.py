"""Texts into calibrated scores: the model directory's ONNX graph, one text at a time at its exact length."""

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
from moderato.golden import Golden, misses, read_golden
from moderato.text import View, fold, normalize

LONG_VIEW_TOKENS = 8_000
"""In a view of more, windows overlap by a quarter of what they do else: 20,000 characters of English are 3,000 tokens,
of Chinese or Korean up to five times as many, and each token that is read twice costs the time of another."""

RUN_TOKENS = 4
"""What it costs to run the model at all, in tokens: 3 take as long as 7 would at the rate of 128 (AVX2, one core)."""

_SCORE_DECIMALS = 6


@dataclass(frozen=True)
class Piece:
    """What of a text the model reads at once: its range in the original (end exclusive) and its tokens."""

    start: int
    end: int
    ids: tuple[int, ...]


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
        return self.read(self.pieces(text))

    def read(self, pieces: Sequence[Piece]) -> Scored:
        """Return what `score` does of the text that these are the pieces of."""
        windows = self._windows(pieces)
        return Scored(self.calibrate(self._pool(windows)), windows)

    def pooled(self, text: str) -> list[float]:
        """Logits in output order, pooled over views and windows and not calibrated: what training judges a model by."""
        return self._pool(self.windows(text))

    def windows(self, text: str) -> list[Window]:
        """The logits of every window of the clean view and, where words are disguised, of the folded view."""
        return self._windows(self.pieces(text))

    def pieces(self, text: str) -> list[Piece]:
        """What the model has to read of a text, in both views; telling takes a thirtieth of the time of reading."""
        clean = normalize(text)
        folded = fold(clean)
        return [piece for view in (clean, folded) if view is not None for piece in self._pieces(view)]

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
        for number, golden in enumerate(read_golden(path)[:at_most], start=1):
            self._check_answer(f"{path} line {number}", golden)

    @property
    def _is_single_label(self) -> bool:
        return self.manifest.problem is Problem.SINGLE_LABEL

    def _pool(self, windows: Sequence[Window]) -> list[float]:
        """Harm anywhere is harm, so its highest logit counts; a topic is what a text is about on the whole."""
        by_category = zip(*(window.logits for window in windows), strict=True)
        if self._is_single_label:
            return [sum(logits) / len(windows) for logits in by_category]
        return [max(logits) for logits in by_category]

    def _check_answer(self, where: str, golden: Golden) -> None:
        found = self.score(golden.text).scores
        if found.keys() != golden.scores.keys():
            raise BrokenModel(f"{where} has scores for {sorted(golden.scores)}, but the manifest for {sorted(found)}")
        for miss in misses(golden, found):
            raise BrokenModel(f"{where}: expected {miss.category} {miss.expected:.4f}, found {miss.found:.4f}")

    def _pieces(self, view: View) -> list[Piece]:
        encoding = self._tokenizer.encode(view.text, add_special_tokens=False)
        ids, offsets = encoding.ids, encoding.offsets
        if not ids:
            return [Piece(0, len(view.text), ())]
        return [
            Piece(view.original(*offsets[first])[0], view.original(*offsets[last - 1])[1], tuple(ids[first:last]))
            for first, last in _ranges(len(ids), self.manifest.window_tokens - 2, self._overlap(len(ids)))
        ]

    def _overlap(self, tokens: int) -> int:
        return self.manifest.overlap_tokens // (1 if tokens <= LONG_VIEW_TOKENS else 4)

    def _windows(self, pieces: Sequence[Piece]) -> list[Window]:
        # A text that repeats itself is read once: 20,000 exclamation marks cost no more than 126.
        known = {ids: self._run(ids) for ids in _distinct(pieces)}
        return [Window(piece.start, piece.end, known[piece.ids]) for piece in pieces]

    def _run(self, ids: Sequence[int]) -> tuple[float, ...]:
        # Never padded, never batched: dynamic int8 scales by tensor, so neighbours would move the scores.
        tokens = np.array([[self._first, *ids, self._last]], dtype=np.int64)  # (1, token)
        logits = self._session.run(None, {"input_ids": tokens})[0][0]  # (category,)
        return tuple(float(logit) for logit in logits)


def cost(pieces: Sequence[Piece]) -> int:
    """How long it takes to read these pieces, in tokens: those of a window at a time, edges included."""
    return sum(len(ids) + 2 + RUN_TOKENS for ids in _distinct(pieces))


def _distinct(pieces: Sequence[Piece]) -> dict[tuple[int, ...], None]:
    return dict.fromkeys(piece.ids for piece in pieces)


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
