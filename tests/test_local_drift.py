"""`moderato drift`: recent decisions of the real app against the model's reference, or the platform's own baseline."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from contextlib import closing
from io import StringIO
from itertools import chain, islice, product
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moderato.artifact import Manifest
from moderato.decisions import ModelName
from moderato.retention import Keep
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore
from tests.commands import run
from tests.conftest import moderation_app
from tests.events import send
from tests.made_models import STARTER, change_starter, make_model
from tests.records import decision, feedback

MARKER = "zebrafish"
NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Kira", "Leo")
KIND = (
    "Thank you for the help, {}.",
    "The meeting is on Thursday, {}.",
    "{} wrote the second paragraph.",
    "I moved the picture of {} to the left.",
    "Does {} know where the zebrafish lives?",
    "{} will water the plants.",
    "We met {} at the station.",
    "The book by {} is out of print.",
    "See you next week, {}!",
    "{} added a source for the figure.",
)
RUDE = (
    "You are a complete idiot, {}.",
    "Shut up, {}, you worthless zebrafish.",
    "{} is the dumbest person here.",
    "What a pathetic loser you are, {}.",
    "Nobody likes you, {}, you disgusting clown.",
    "{}, go away, you stupid fool.",
    "{} writes nothing but garbage.",
    "You make me sick, {}.",
    "{} is a lying piece of trash.",
    "I hate you, {}, you moron.",
)


def sentences(templates: Sequence[str], count: int) -> Iterator[str]:
    """Return so many different sentences, 120 at most."""
    return islice((template.format(name) for name, template in product(NAMES, templates)), count)


def moderate(scorer: Scorer, data: Path, texts: Iterator[str], keep: Keep = Keep.ALL) -> list[dict[str, Any]]:
    """Let the real app decide on texts, and keep its decisions in a data folder; return its results."""
    data.mkdir(exist_ok=True)
    app = moderation_app(scorer, SqliteStore(data / "moderato.sqlite3"), StringIO(), keep)
    results = []
    for batch in iter(lambda: [{"text": text} for text in islice(texts, 40)], []):
        status, body = send(app, "POST", "/moderate", {"items": batch})
        assert status == 200
        results += body["results"]
    return results


@pytest.fixture(scope="module")
def rude(tmp_path_factory: pytest.TempPathFactory, scorer: Scorer) -> Path:
    """A data folder with 112 insults between kind texts, to be read only."""
    data = tmp_path_factory.mktemp("rude") / "data"
    moderate(scorer, data, chain(sentences(KIND, 4), sentences(RUDE, 112), sentences(KIND[4:], 4)))
    return data


def test_other_texts_than_the_model_was_measured_on_are_told_by_table_and_plot(rude: Path) -> None:
    done = run("drift", "--model", STARTER, "--data-dir", rude, columns=80)
    assert done.status == 3
    assert "120 decisions, which tell as much as 120 texts" in done.output
    assert "Compared with the 4,342 held-out texts that the model was measured on." in done.output
    (toxicity,) = re.findall(r"^toxicity .*$", done.output, re.MULTILINE)
    assert toxicity.endswith("drifts")
    assert re.search(r"^texts flagged +10\.8% \(9\.9 to 11\.7\) +\d+\.\d% .* 120  higher", done.output, re.MULTILINE)
    assert re.search(r"^flags overturned +26\.6% \(22\.\d to 30\.\d\) +not known", done.output, re.MULTILINE)
    assert "toxicity: where its scores are" in done.output
    assert "█" in done.output
    assert max(map(len, done.output.splitlines())) <= 80


def test_the_bars_of_a_plot_are_as_long_as_the_shares(rude: Path) -> None:
    output = run("drift", "--model", STARTER, "--data-dir", rude).output
    found = json.loads(run("drift", "--model", STARTER, "--data-dir", rude, "--json").output)["found"]
    toxicity = found["categories"][0]
    plot = output[output.index("\ntoxicity: where") + 1 :].split("\n\n")[0].splitlines()[2:]
    assert len(plot) == len(toxicity["recent"]["shares"])
    shares = toxicity["recent"]["shares"]
    longest = max(range(len(shares)), key=lambda number: shares[number])
    assert plot[longest].endswith(f"{shares[longest]:.1%}")
    assert plot[longest].count("█") >= 18


def test_json_has_every_figure(rude: Path) -> None:
    done = run("drift", "--model", STARTER, "--data-dir", rude, "--json", "--days", "30")
    assert done.status == 3
    told = json.loads(done.output)
    assert (told["model"], told["against"], told["days"]) == ({"name": "starter", "version": "2.0.1"}, "model", 30)
    assert (told["decisions"], told["drifts"], told["reference_texts"]) == (120, True, 4342)
    names = [each["category"] for each in told["found"]["categories"]]
    assert names == ["toxicity", "severe_toxicity", "identity_attack", "insult", "profanity", "threat"]
    assert told["found"]["flag_rate"]["reference"]["share"] == 0.107554
    assert told["found"]["flag_rate"]["recent"]["share"] > 0.5
    assert told["found"]["reversal_rate"]["recent"] is None


def test_the_picture_is_an_svg_that_needs_nothing_from_elsewhere(rude: Path, tmp_path: Path) -> None:
    picture = tmp_path / "drift.svg"
    assert run("drift", "--model", STARTER, "--data-dir", rude, "--svg", picture).status == 3
    content = picture.read_text()
    assert ET.fromstring(content).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314  # our own
    assert "█" in content
    assert re.findall(r"https?://[^\"\s]+", content) == ["http://www.w3.org/2000/svg"]


def test_no_text_is_told(rude: Path, tmp_path: Path) -> None:
    picture = tmp_path / "drift.svg"
    told = run("drift", "--model", STARTER, "--data-dir", rude, "--svg", picture).output
    told += run("drift", "--model", STARTER, "--data-dir", rude, "--json").output + picture.read_text()
    assert MARKER not in told
    assert "Anna" not in told


def test_a_platforms_own_baseline_is_what_counts_once_it_is_kept(tmp_path: Path, scorer: Scorer) -> None:
    data = tmp_path / "data"
    place = ("--model", STARTER, "--data-dir", data)
    moderate(scorer, data, sentences(KIND, 110))
    assert run("drift", *place).status == 3
    kept = run("drift", *place, "--keep")
    assert (kept.status, kept.refusal) == (0, "")
    (file,) = (data / "objects" / "drift" / "starter-2_0_1").glob("*.json")
    assert str(file) in kept.output.replace("\n", "")
    usual = run("drift", *place)
    assert usual.status == 0
    assert "this platform's own baseline of 20" in usual.output
    assert "drifts" not in usual.output
    moderate(scorer, data, sentences(RUDE, 120))
    assert run("drift", *place).status == 3
    file.unlink()
    assert "4,342 held-out texts" in run("drift", *place).output


def test_what_was_kept_is_told_to_a_program_too_and_has_no_picture(tmp_path: Path, scorer: Scorer) -> None:
    data = tmp_path / "data"
    place = ("--model", STARTER, "--data-dir", data)
    moderate(scorer, data, sentences(KIND, 110))
    refused = run("drift", *place, "--keep", "--svg", tmp_path / "drift.svg")
    assert refused.refusal == "--keep compares nothing, so there is no picture for --svg: leave one of them out"
    assert not (data / "objects").exists()
    told = json.loads(run("drift", *place, "--keep", "--json").output)
    (file,) = (data / "objects" / "drift" / "starter-2_0_1").glob("*.json")
    assert told == {"kept": f"drift/starter-2_0_1/{file.name}"}


def test_flags_that_moderators_overturned_are_told(tmp_path: Path, scorer: Scorer) -> None:
    data = tmp_path / "data"
    results = moderate(scorer, data, sentences(RUDE, 120))
    flagged = [result["decision_id"] for result in results if result["flagged"]][:10]
    store = SqliteStore(data / "moderato.sqlite3")
    for number, decision_id in enumerate(flagged):
        given = feedback(feedback_id=f"f_{number}", decision_id=decision_id, correct=number >= 8)
        store.record_feedback(given, "digest", None)
    told = json.loads(run("drift", "--model", STARTER, "--data-dir", data, "--json").output)
    assert told["found"]["reversal_rate"]["recent"]["share"] == pytest.approx(0.8)
    assert "higher" in run("drift", "--model", STARTER, "--data-dir", data).output.split("flags overturned")[1]


def test_a_folder_without_a_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    refused = run("drift", "--model", STARTER, "--data-dir", tmp_path / "nowhere")
    assert (refused.status, refused.refusal) == (
        1,
        f"no database in {tmp_path / 'nowhere'}: name the data folder of the server by --data-dir",
    )
    assert not (tmp_path / "nowhere").exists()


def test_too_few_decisions_are_refused_with_what_would_help(tmp_path: Path, scorer: Scorer) -> None:
    moderate(scorer, tmp_path / "data", sentences(KIND, 20))
    refused = run("drift", "--model", STARTER, "--data-dir", tmp_path / "data").refusal
    assert "20 decisions of the last 7 days tell as much as 20 texts, and 100 are needed" in refused
    assert "--days" in refused
    assert run("drift", "--model", STARTER, "--data-dir", tmp_path / "data", "--keep").status == 1
    assert not (tmp_path / "data" / "objects").exists()


def test_flagged_decisions_alone_are_refused(tmp_path: Path, scorer: Scorer) -> None:
    moderate(scorer, tmp_path / "data", sentences(RUDE, 120), Keep.FLAGGED)
    refused = run("drift", "--model", STARTER, "--data-dir", tmp_path / "data").refusal
    assert "in the last 7 days: 115, and none of them was drawn to stand for the allowed texts: wait" in refused
    assert "--store-decisions all for a while" in refused


def test_a_model_without_a_reference_is_told_what_to_do(tmp_path: Path, rude: Path) -> None:
    def without(_directory: Path, manifest: Manifest) -> Manifest:
        return msgspec.structs.replace(manifest, reference=None)

    model = change_starter(tmp_path / "model", without)
    refused = run("drift", "--model", model, "--data-dir", rude)
    assert refused.status == 1
    assert "starter 2.0.1 was made without a reference" in refused.refusal
    assert "`moderato drift --keep`" in refused.refusal
    assert "`python -m training.reference`" in refused.refusal


def test_decisions_of_another_model_do_not_count(tmp_path: Path, rude: Path) -> None:
    model = make_model(tmp_path / "model")
    assert (
        "made 1.0.0 has decided nothing that is kept in" in run("drift", "--model", model, "--data-dir", rude).refusal
    )


def test_days_without_a_decision_are_told_from_a_model_without_any(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "moderato.sqlite3")) as store:
        store.record_decisions([decision(model=ModelName("starter", "2.0.1"), created="2026-01-31T12:00:00+00:00")])
    refused = run("drift", "--model", STARTER, "--data-dir", tmp_path).refusal
    assert "in the last 7 days; the last was on 2026-01-31: look back further by --days" in refused


def test_a_picture_that_is_no_svg_or_cannot_be_written_is_refused(tmp_path: Path, rude: Path) -> None:
    place = ("--model", STARTER, "--data-dir", rude)
    assert "ends in .svg" in run("drift", *place, "--svg", tmp_path / "drift.png").refusal
    missing = tmp_path / "nowhere" / "drift.svg"
    assert run("drift", *place, "--svg", missing).refusal == f"{missing} cannot be written: No such file or directory"


@pytest.mark.parametrize("days", ["0", "91", "a week"])
def test_days_out_of_range_are_refused(rude: Path, days: str) -> None:
    assert run("drift", "--data-dir", rude, "--days", days).status == 2
