"""The champion: a pointer that survives kill -9, copies that outlive their source, and the way back."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from local.champion import CannotPromote, Champions
from local.promotion import Event, append, read
from moderato.artifact import load_manifest, record_file, write_manifest
from moderato.errors import BrokenModel
from tests.made_models import make_model

ROOT = Path(__file__).parents[1]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

# Promotes two models in turn for ever, and says so after each.
PROMOTER = """
import sys
from pathlib import Path
from local.champion import Champions

data, *models = map(Path, sys.argv[1:])
champions = Champions(data, lambda: models[0])
while True:
    for model in models:
        print(champions.promote(model).version, flush=True)
"""


@pytest.fixture
def champions(tmp_path: Path) -> Champions:
    """A data folder where nothing was promoted, with a default model."""
    default = make_model(tmp_path / "default", "0.9.0")
    return Champions(tmp_path / "data", lambda: default, clock=lambda: NOW)


def test_before_any_promotion_the_default_model_is_the_champion(champions: Champions, tmp_path: Path) -> None:
    assert champions.current() == tmp_path / "default"
    assert champions.pointer() is None


def test_a_promoted_model_is_copied_so_that_its_source_may_go(champions: Champions, tmp_path: Path) -> None:
    source = make_model(tmp_path / "build", "1.0.0")
    digest = load_manifest(source).sha256
    champion = champions.promote(source, evidence="c_1")
    for path in source.iterdir():
        path.unlink()
    assert champions.current() == tmp_path / "data" / "models" / f"made-1.0.0-{digest[:12]}"
    assert load_manifest(champions.current()).sha256 == digest
    assert (champion.name, champion.version, champion.evidence) == ("made", "1.0.0", "c_1")
    assert champion.promoted == "2026-11-21T12:00:00+00:00"


def test_the_data_folder_may_be_moved_as_a_whole(champions: Champions, tmp_path: Path) -> None:
    champions.promote(make_model(tmp_path / "one"))
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    moved = Champions(tmp_path / "elsewhere", lambda: tmp_path)
    assert moved.current().parent == tmp_path / "elsewhere" / "models"


def test_rollback_can_be_repeated_to_the_default_model(champions: Champions, tmp_path: Path) -> None:
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        champions.promote(make_model(tmp_path / version, version))
    versions = []
    for _ in range(3):
        champions.rollback()
        versions.append(load_manifest(champions.current()).version)
    assert versions == ["2.0.0", "1.0.0", "0.9.0"]
    with pytest.raises(CannotPromote, match="nothing to roll back"):
        champions.rollback()


def test_what_happened_is_kept_line_by_line(champions: Champions, tmp_path: Path) -> None:
    champions.promote(make_model(tmp_path / "one", "1.0.0"), evidence="c_1")
    champions.promote(make_model(tmp_path / "two", "2.0.0"))
    champions.rollback()
    champions.rollback()
    found = [(event.kind, event.model, event.instead_of, event.evidence) for event in read(tmp_path / "data")]
    assert found == [
        ("promoted", "made 1.0.0", None, "c_1"),
        ("promoted", "made 2.0.0", "made 1.0.0", None),
        ("rolled back", "made 1.0.0", "made 2.0.0", "c_1"),
        ("rolled back", None, "made 1.0.0", None),
    ]


def test_a_line_that_a_crash_cut_short_swallows_no_other(tmp_path: Path) -> None:
    append(tmp_path, Event(kind="promoted", created="1"))
    with (tmp_path / "promotions.jsonl").open("ab") as file:
        file.write(b'{"kind": "promo')
    append(tmp_path, Event(kind="promoted", created="2"))
    assert [event.created for event in read(tmp_path)] == ["1", "2"]


def test_a_broken_model_is_not_promoted_and_the_champion_stays(champions: Champions, tmp_path: Path) -> None:
    champions.promote(make_model(tmp_path / "good", "1.0.0"))
    broken = make_model(tmp_path / "broken", "2.0.0")
    (broken / "model.onnx").write_text("another graph")
    with pytest.raises(BrokenModel, match=r"model\.onnx is not the file"):
        champions.promote(broken)
    assert load_manifest(champions.current()).version == "1.0.0"


def test_a_file_outside_of_the_model_is_never_copied(champions: Champions, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("x")
    sly = make_model(tmp_path / "one")
    manifest = load_manifest(sly)
    files = {**manifest.files, "../secret": record_file(secret)}
    write_manifest(sly, msgspec.structs.replace(manifest, files=files))
    with pytest.raises(BrokenModel, match="not in the model's own folder"):
        champions.promote(sly)
    assert not (tmp_path / "data" / "models").exists()


def test_a_copy_that_was_damaged_is_made_anew_by_promoting_again(champions: Champions, tmp_path: Path) -> None:
    source = make_model(tmp_path / "one", "1.0.0")
    champions.promote(source)
    (champions.current() / "model.onnx").write_text("damaged")
    champions.promote(source)
    assert (champions.current() / "model.onnx").read_text() == "model.onnx of 1.0.0"


def test_a_champion_that_was_deleted_or_exchanged_says_what_to_do(champions: Champions, tmp_path: Path) -> None:
    champions.promote(make_model(tmp_path / "one", "1.0.0"))
    champions.promote(make_model(tmp_path / "two", "2.0.0"))
    current = champions.current()
    current.rename(tmp_path / "gone")
    with pytest.raises(BrokenModel, match=r"no model at .*`moderato rollback` goes back .* --model"):
        champions.current()
    make_model(current, "6.6.6")
    with pytest.raises(BrokenModel, match=r"is not the model that was promoted: .*`moderato rollback`"):
        champions.current()
    champions.rollback()
    assert load_manifest(champions.current()).version == "1.0.0"


def test_rollback_to_a_model_that_is_gone_changes_nothing(champions: Champions, tmp_path: Path) -> None:
    champions.promote(make_model(tmp_path / "one", "1.0.0"))
    champions.current().rename(tmp_path / "gone")
    champions.promote(make_model(tmp_path / "two", "2.0.0"))
    with pytest.raises(BrokenModel, match="no model at"):
        champions.rollback()
    assert load_manifest(champions.current()).version == "2.0.0"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"directory": 1}', '{"previous":' * 5000])
def test_a_pointer_that_is_none_says_what_to_do(content: str, champions: Champions, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "champion.json").write_text(content)
    with pytest.raises(BrokenModel, match="is not the pointer to a model; remove it"):
        champions.current()


def test_a_challenger_compared_with_a_champion_that_is_none_any_more_is_not_promoted(
    champions: Champions, tmp_path: Path
) -> None:
    compared_with = load_manifest(champions.current()).sha256
    champions.promote(make_model(tmp_path / "one", "1.0.0"), instead_of=compared_with)
    with pytest.raises(CannotPromote, match="compare again"):
        champions.promote(make_model(tmp_path / "two", "2.0.0"), instead_of=compared_with)
    assert load_manifest(champions.current()).version == "1.0.0"


def test_an_unusable_data_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    model = make_model(tmp_path / "one")
    with pytest.raises(CannotPromote, match="cannot be written"):
        Champions(tmp_path / "file", lambda: model).promote(model)


def test_the_chain_of_rollbacks_is_bounded(champions: Champions, tmp_path: Path) -> None:
    models = [make_model(tmp_path / version, version) for version in ("1.0.0", "2.0.0")]
    for number in range(50):
        champions.promote(models[number % 2])
    depth, champion = 0, champions.pointer()
    while champion is not None:
        depth, champion = depth + 1, champion.previous
    assert depth == 20


def test_kill_9_leaves_the_old_champion_or_the_new_one(tmp_path: Path) -> None:
    models = [make_model(tmp_path / version, version) for version in ("1.0.0", "2.0.0")]
    champions = Champions(tmp_path / "data", lambda: models[0])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "functions")}
    for promotions in (1, 2, 5, 8):
        command = [sys.executable, "-c", PROMOTER, *map(str, (tmp_path / "data", *models))]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            said = [process.stdout.readline().strip() for _ in range(promotions)]
            process.send_signal(signal.SIGKILL)
        assert said[-1] in ("1.0.0", "2.0.0")
        assert load_manifest(champions.current()).version in ("1.0.0", "2.0.0")
        assert champions.promote(models[0]).version == "1.0.0"
