"""The configurations for several GPUs, as transformers and accelerate read them."""

import json
from pathlib import Path

import pytest
from accelerate.utils.deepspeed import HfDeepSpeedConfig
from transformers import TrainingArguments

from tests.training.tiny import tiny_recipe
from training.config import RecipeError
from training.train import Sharding, train

FOLDER = Path(__file__).parents[2] / "training" / "distributed"
FSDP, ZERO2 = FOLDER / "fsdp.json", FOLDER / "zero2.json"


def test_fsdp_shards_layers_and_saves_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # transformers leaves its choice in the environment; this puts it back.
    monkeypatch.setenv("FSDP_CPU_RAM_EFFICIENT_LOADING", "false")
    arguments = TrainingArguments(str(tmp_path), fsdp=True, fsdp_config=str(FSDP), use_cpu=True)
    found = arguments.fsdp_plugin_args
    assert (found["fsdp_version"], found["auto_wrap_policy"]) == (2, "TRANSFORMER_BASED_WRAP")
    assert (found["reshard_after_forward"], found["state_dict_type"]) == (True, "FULL_STATE_DICT")
    assert set(json.loads(FSDP.read_text())) <= {*found, "version"}


def test_zero_2_splits_gradients_and_optimizer_and_leaves_the_knobs_to_the_recipe() -> None:
    config = HfDeepSpeedConfig(str(ZERO2))
    assert config.is_zero2()
    assert not config.is_offload()
    for knob in (
        "train_batch_size",
        "train_micro_batch_size_per_gpu",
        "gradient_accumulation_steps",
        "gradient_clipping",
        "bf16.enabled",
        "optimizer.params.lr",
        "optimizer.params.weight_decay",
    ):
        assert config.get_value(knob) == "auto", knob


@pytest.mark.parametrize("sharding", [Sharding(fsdp=FSDP), Sharding(deepspeed=ZERO2)])
def test_without_a_gpu_nothing_is_silently_trained_by_ddp_instead(sharding: Sharding, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="need GPUs; leave --fsdp and --deepspeed out"):
        train(tiny_recipe(tmp_path), tmp_path, tmp_path, (), sharding)
