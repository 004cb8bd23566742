"""A two-layer encoder of hidden size 32 with a vocabulary of our own, and datasets that it can learn in seconds."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from moderato.artifact import Problem
from tests.training.made import recipe
from training.config import Encoder, Recipe, TrainKnobs
from training.dataset import Row

WORDS = ("you", "are", "a", "rude", "kind", "fool", "friend", "news", "today", "the", "rain", "ends", "here", "now")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
CATEGORIES = ("insult", "news")


def encoder(folder: Path, dropout: float = 0.0) -> Path:
    """Write the encoder, drawn by a fixed seed, and its tokenizer."""
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    BertModel(config).save_pretrained(folder)
    _tokenizer().save_pretrained(folder)
    return folder


def tiny_recipe(encoder_folder: Path, problem: Problem = Problem.MULTI_LABEL, **train_knobs: Any) -> Recipe:
    """A recipe on the tiny encoder, in fp32: what is compared to 4 decimals must not be rounded to 3."""
    chosen: dict[str, Any] = {"epochs": 1, "batch_size": 16, "max_tokens": 16, "learning_rate": 1e-3, "bf16": False}
    return msgspec.structs.replace(
        recipe(problem, CATEGORIES),
        encoder=Encoder(name="tiny", path=str(encoder_folder), licence="CC0"),
        train=TrainKnobs(**(chosen | train_knobs)),
    )


def write_dataset(folder: Path, rows: Mapping[str, Sequence[Row]]) -> Path:
    """The rows by split as `training.dataset` writes them."""
    folder.mkdir(parents=True)
    for split in ("train", "validation", "test"):
        lines = [json.dumps(asdict(row)) + "\n" for row in rows.get(split, ())]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    digest = hashlib.sha256((folder / "train.jsonl").read_bytes()).hexdigest()
    (folder / "dataset.json").write_text(json.dumps({"name": "made", "version": digest[:12], "digest": digest}))
    return folder


def uneven_rows(count: int, split: str = "train") -> list[Row]:
    """Rows of several lengths; the longer ones say nothing of `news`, so batches by length know unlike many labels."""
    return [_row(number, split) for number in range(count)]


def _row(number: int, split: str) -> Row:
    is_rude, is_long = number % 3 == 0, number % 4 >= 2
    words = ["you", "are", "a", "rude" if is_rude else "kind", "fool" if number % 2 else "friend"]
    words += ["the", "rain", "ends", "here", "now"][: number % 5] * (2 if is_long else 1)
    labels = {"insult": 1.0 if is_rude else 0.0, "news": None if is_long else (number % 5) / 5}
    return Row(f"{split}-{number}", " ".join(words), labels, "made", split, natural=True)


def _tokenizer() -> PreTrainedTokenizerFast:
    numbers = {token: number for number, token in enumerate((*SPECIAL, *WORDS))}
    tokenizer = Tokenizer(WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", numbers["[CLS]"]), ("[SEP]", numbers["[SEP]"])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
