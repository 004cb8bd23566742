"""Ground Truth: its files as it wants them, and its output as nobody can be trusted to send it."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderato.definitions import Definition
from moderato.groundtruth import CONSOLE_JOB, Answer, Fault, Import, Quarantined, output_line, read_output
from moderato.groundtruth_jobs import (
    LAMBDA_ACCOUNTS,
    Inputs,
    Task,
    content_key,
    fits,
    input_manifest,
    item_ids,
    job_name,
    labeling_job,
    labels_file,
    manifest_key,
)
from moderato.groundtruth_template import template
from moderato.groundtruth_workers import WorkerAnswer, WorkerAnswers, object_of, read_worker_responses
from moderato.reviews import Label, Review, ReviewReason
from tests.labeling_service import annotated, problems_of, worker_response

CATEGORIES = ("toxicity", "insult", "threat")
LABELS = [*CATEGORIES, "none"]
JOB = "moderato-1"
TASK = Task(
    region="us-east-1",
    bucket="a-bucket",
    role="arn:aws:iam::111122223333:role/labeling",
    workteam="arn:aws:sagemaker:us-east-1:111122223333:workteam/private-crowd/moderators",
)
INPUTS = Inputs("labeling/input/1.manifest", "labeling/labels/2.json", "labeling/templates/3.html")
HOSTILE_TEXTS = [
    "<script>alert(1)</script></classification-target><img src=x onerror=alert(1)>",
    "{{ task.input.labels | skip_autoescape }}{% raw %} {% assign x = 1 %}",
    "one\u2028two\u2029three\u0085four\x1cfive\nsix\r\nseven",
    "\u202eabc\u2066\u200f שלום",
    'quote " backslash \\ nul \x00 bell \x07',
    "😀" * 20_000,
    "a" * 20_000,
]
KEYS = st.sampled_from(["source", "item-id", "moderation", "moderation-metadata"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner)
)
METADATA_VALUES = [JOB, "yes", "groundtruth/text-classification-multilabel", {"0": "insult"}, {"0": 1}, []]


def review(review_id: str = "r_1", text: str = "you fool") -> Review:
    return Review(review_id=review_id, text=text, reason=ReviewReason.SAMPLED, created="2026-11-21T12:00:00+00:00")


def label(**values: bool | None) -> Label:
    return Label(
        review_id="r_1", values=values, method="agreement", annotators=["ann"], created="2026-11-21T12:00:00+00:00"
    )


def line(**changes: Any) -> bytes:
    """Return a good output line of `r_1`, an insult; changes to the metadata begin with `metadata_`."""
    content: dict[str, Any] = {"source": "you fool", "item-id": "r_1"}
    content |= annotated(JOB, LABELS, [["insult"], ["insult"], ["insult"]])
    for name, value in changes.items():
        key = name.removeprefix("metadata_").replace("_", "-")
        place = content["moderation-metadata"] if name.startswith("metadata_") else content
        place[key] = value
    return json.dumps(content).encode()


def read(*lines: bytes, **reviews: str) -> Import:
    known = reviews or {"r_1": "you fool"}
    return read_output(lines, JOB, {name: review(name, text) for name, text in known.items()}, CATEGORIES)


def fault_of(found: Import) -> Fault:
    assert found.accepted == []
    return found.quarantined[0].reason


def test_an_insult_is_an_insult_and_nothing_else() -> None:
    assert read(line()) == Import(
        [Answer(1, "r_1", {"toxicity": False, "insult": True, "threat": False}, frozenset({"insult"}), False)], []
    )


def test_both_forms_of_the_job_name_are_known() -> None:
    for name in (JOB, f"labeling-job/{JOB}"):
        assert len(read(line(metadata_job_name=name)).accepted) == 1


def test_indices_come_from_the_class_map_and_not_from_our_order() -> None:
    found = read(line(moderation=[7], metadata_class_map={"7": "threat"}, metadata_confidence_map={"7": 0.9}))
    assert found.accepted[0].values == {"toxicity": False, "insult": False, "threat": True}


@pytest.mark.parametrize(
    ("answers", "toxicity", "insult"),
    [
        ([["none"], ["none"], ["none"]], False, False),
        ([["insult"], ["insult", "toxicity"], ["insult"]], None, True),
        ([["insult"], ["toxicity"], ["none"]], None, None),
        ([["none"], ["none"], ["none"], ["none"], ["insult"]], False, None),
        ([["insult"], ["insult"], ["insult"], ["insult"], ["toxicity"]], None, True),
        ([["insult", "toxicity"]], True, True),
        ([["none"]], False, False),
    ],
)
def test_confidence_decides_what_is_true_and_what_is_disputed(
    answers: list[list[str]], toxicity: bool | None, insult: bool | None
) -> None:
    values = read(line(**annotated(JOB, LABELS, answers))).accepted[0].values
    assert values == {"toxicity": toxicity, "insult": insult, "threat": False}


def test_a_lone_annotator_is_told_from_several() -> None:
    assert read(line(**annotated(JOB, LABELS, [["insult"]]))).accepted[0].is_lone
    assert not read(line()).accepted[0].is_lone


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"you fool", Fault.NOT_JSON),
        (b"\xff{}", Fault.NOT_JSON),
        (b"[" * 50_000, Fault.NOT_JSON),
        (b'{"source": "\\ud800"}', Fault.NOT_JSON),
        (b'["source"]', Fault.NOT_AN_OBJECT),
        (b"null", Fault.NOT_AN_OBJECT),
        (b'{"source": "' + b"a" * 300_000 + b'"}', Fault.TOO_LONG),
        (line(source_ref="s3://a-bucket/secret"), Fault.FOREIGN_KEY),
        (line(**{"$schema": "x"}), Fault.FOREIGN_KEY),
        (line(item_id="r_2"), Fault.UNKNOWN_ID),
        (line(item_id=["r_1"]), Fault.UNKNOWN_ID),
        (line(item_id=None), Fault.UNKNOWN_ID),
        (line(source="you  fool"), Fault.CHANGED_TEXT),
        (line(source=None), Fault.CHANGED_TEXT),
        (b'{"source": "you fool", "item-id": "r_1"}', Fault.NOT_ANNOTATED),
        (line(moderation=[]), Fault.NOT_ANNOTATED),
        (line(moderation_metadata="insult"), Fault.WRONG_TYPE),
        (line(metadata_type="groundtruth/text-classification"), Fault.WRONG_TYPE),
        (line(metadata_human_annotated="no"), Fault.NOT_HUMAN),
        (line(metadata_job_name="moderato-2"), Fault.FOREIGN_JOB),
        (line(metadata_job_name=["moderato-1"]), Fault.FOREIGN_JOB),
        (line(metadata_class_map={"1": "rude"}), Fault.UNKNOWN_LABEL),
        (line(metadata_class_map={"2": "insult"}), Fault.BAD_CLASS_MAP),
        (line(metadata_class_map={"1": "insult", "2": "insult"}), Fault.BAD_CLASS_MAP),
        (line(metadata_class_map={"1": 1}), Fault.BAD_CLASS_MAP),
        (line(metadata_class_map=["insult"]), Fault.BAD_CLASS_MAP),
        (line(moderation=["1"]), Fault.BAD_CLASS_MAP),
        (line(moderation=[True]), Fault.BAD_CLASS_MAP),
        (line(moderation=[1, 1]), Fault.BAD_CLASS_MAP),
        (line(moderation=1), Fault.BAD_CLASS_MAP),
        (line(metadata_confidence_map={"1": float("nan")}), Fault.BAD_CONFIDENCE),
        (line(metadata_confidence_map={"1": float("inf")}), Fault.BAD_CONFIDENCE),
        (line(metadata_confidence_map={"1": 1.01}), Fault.BAD_CONFIDENCE),
        (line(metadata_confidence_map={"1": -0.01}), Fault.BAD_CONFIDENCE),
        (line(metadata_confidence_map={"1": "0.9"}), Fault.BAD_CONFIDENCE),
        (line(metadata_confidence_map={"1": True}), Fault.BAD_CONFIDENCE),
        (line(metadata_confidence_map={}), Fault.BAD_CONFIDENCE),
        (line(**annotated(JOB, LABELS, [["none", "insult"]])), Fault.CONTRADICTION),
        (line(**annotated(JOB, LABELS, [["none", "insult"]] * 3)), Fault.CONTRADICTION),
    ],
)
def test_a_bad_line_is_quarantined_with_its_reason(bad: bytes, reason: Fault) -> None:
    assert fault_of(read(bad)) is reason


def test_a_repeated_answer_is_quarantined_and_the_first_one_stands() -> None:
    other = line(**annotated(JOB, LABELS, [["threat"]] * 3))
    found = read(line(), other)
    assert [answer.line_number for answer in found.accepted] == [1]
    assert found.quarantined == [Quarantined(2, Fault.DUPLICATE, "r_1")]


def test_a_bad_line_does_not_keep_the_good_one_out() -> None:
    found = read(line(source="another text"), line())
    assert [answer.line_number for answer in found.accepted] == [2]


def test_a_review_that_is_gone_is_quarantined_and_its_id_not_told() -> None:
    found = read_output([line()], JOB, {}, CATEGORIES, gone={"r_1"})
    assert found == Import([], [Quarantined(1, Fault.GONE)])


def test_quarantine_holds_no_user_text() -> None:
    found = read(line(source="secret words"), line(item_id="secret words"), b"secret words")
    assert "secret" not in repr(found)


def test_empty_lines_are_counted_and_passed_over() -> None:
    assert [answer.line_number for answer in read(b"", b"  ", line(), b"").accepted] == [3]


def test_100_000_lines_bad_and_good_are_told_apart_in_seconds() -> None:
    reviews = {f"r_{number}": review(f"r_{number}", f"text {number}") for number in range(100_000)}

    def lines() -> Iterator[bytes]:
        for number in range(100_000):
            content = {"source": f"text {number}" if number % 10 else "changed", "item-id": f"r_{number}"}
            yield json.dumps(content | annotated(JOB, LABELS, [["insult"], ["insult"]])).encode()

    started = time.process_time()
    found = read_output(lines(), JOB, reviews, CATEGORIES)
    assert (len(found.accepted), len(found.quarantined)) == (90_000, 10_000)
    assert {one.reason for one in found.quarantined} == {Fault.CHANGED_TEXT}
    assert time.process_time() - started < 20


@given(st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_no_line_breaks_the_reader(content: bytes) -> None:
    found = read(content)
    assert found.accepted == []


@given(
    st.fixed_dictionaries(
        {"source": st.just("you fool"), "item-id": st.just("r_1")},
        optional={
            "moderation": st.lists(st.integers() | st.none() | st.booleans()) | st.text(),
            "moderation-metadata": st.dictionaries(
                st.sampled_from(["job-name", "class-map", "confidence-map", "human-annotated", "type"]),
                st.sampled_from(
                    [JOB, "yes", "groundtruth/text-classification-multilabel", {"0": "insult"}, {"0": 1}, []]
                ),
            ),
        },
    )
)
def test_no_answer_breaks_the_reader(content: dict[str, Any]) -> None:
    found = read(json.dumps(content).encode())
    assert len(found.accepted) + len(found.quarantined) == 1


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    st.fixed_dictionaries({name: st.sampled_from([True, False, None]) for name in CATEGORIES}),
)
def test_what_is_written_is_read_back(text: str, values: dict[str, bool | None]) -> None:
    written = output_line(review(text=text), label(**values), CATEGORIES)
    assert written.isascii()
    assert len(written.splitlines()) == 1
    found = read_output([written], CONSOLE_JOB, {"r_1": review(text=text)}, CATEGORIES)
    assert [answer.values for answer in found.accepted] == [values]


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
def test_hostile_texts_make_the_round_trip(text: str) -> None:
    written = output_line(review(text=text), label(insult=True, toxicity=False, threat=False), CATEGORIES)
    assert json.loads(written)["source"] == text
    assert len(read_output([written], CONSOLE_JOB, {"r_1": review(text=text)}, CATEGORIES).accepted) == 1


def test_the_console_writes_the_line_that_ground_truth_documents() -> None:
    written = output_line(review(), label(toxicity=None, insult=True, threat=False), CATEGORIES)
    assert json.loads(written) == {
        "source": "you fool",
        "item-id": "r_1",
        "moderation": [0, 1],
        "moderation-metadata": {
            "job-name": "labeling-job/moderato-console",
            "class-map": {"0": "toxicity", "1": "insult"},
            "confidence-map": {"0": 0.5, "1": 1.0},
            "human-annotated": "yes",
            "creation-date": "2026-11-21T12:00:00+00:00",
            "type": "groundtruth/text-classification-multilabel",
        },
    }


def test_the_console_says_none_where_all_is_false() -> None:
    written = json.loads(output_line(review(), label(toxicity=False, insult=False, threat=False), CATEGORIES))
    assert written["moderation-metadata"]["class-map"] == {"3": "none"}


def test_the_input_manifest_has_a_line_for_each_review() -> None:
    content = input_manifest([review("r_1", "one\u2028two"), review("r_2", "naïve")])
    assert content == (
        b'{"source":"one\\u2028two","item-id":"r_1"}\n{"source":"na\\u00efve","item-id":"r_2"}\n'
    )  # fmt: skip
    assert item_ids(content.splitlines()) == ["r_1", "r_2"]


@pytest.mark.parametrize(
    ("text", "does_fit"),
    [("a" * 20_000, True), ("é" * 3_333, True), ("é" * 3_334, False), ("😀" * 1_666, True), ("😀" * 1_667, False)],
)
def test_a_text_fits_if_it_does_so_once_escaped(text: str, does_fit: bool) -> None:
    assert fits(review(text=text)) is does_fit
    assert bool(input_manifest([review(text=text)])) is does_fit


def test_the_labels_file_ends_with_none() -> None:
    assert json.loads(labels_file(["toxicity", "insult"])) == {
        "document-version": "2018-11-28",
        "labels": [{"label": "toxicity"}, {"label": "insult"}, {"label": "none"}],
    }


@pytest.mark.parametrize("categories", [[], [f"c{number}" for number in range(50)], ["none"], ["a", "a"]])
def test_a_job_has_2_to_50_different_labels(categories: list[str]) -> None:
    with pytest.raises(ValueError, match=r"1 to 49 categories|must differ"):
        labels_file(categories)


def test_49_categories_are_not_too_many() -> None:
    assert len(json.loads(labels_file([f"c{number}" for number in range(49)]))["labels"]) == 50


@pytest.mark.parametrize("region", sorted(LAMBDA_ACCOUNTS))
def test_the_request_is_one_that_sagemaker_takes(region: str) -> None:
    task = Task(region, TASK.bucket, TASK.role, TASK.workteam, encryption_key="alias/labeling")
    assert problems_of(labeling_job("moderato-20261121-120000-0a", INPUTS, task)) == []


def test_the_request_names_our_files_and_ground_truths_functions() -> None:
    request = labeling_job("moderato-1", INPUTS, TASK)
    assert request["InputConfig"] == {
        "DataSource": {"S3DataSource": {"ManifestS3Uri": "s3://a-bucket/labeling/input/1.manifest"}}
    }
    human = request["HumanTaskConfig"]
    assert human["PreHumanTaskLambdaArn"] == (
        "arn:aws:lambda:us-east-1:432418664414:function:PRE-TextMultiClassMultiLabel"
    )
    assert human["NumberOfHumanWorkersPerDataObject"] == 3
    assert request["OutputConfig"] == {"S3OutputPath": "s3://a-bucket/labeling/output/"}


@pytest.mark.parametrize(
    ("change", "breach"),
    [
        ({"LabelingJobName": "moderato_1"}, "/LabelingJobName: not"),
        ({"LabelingJobName": "m" * 64}, "/LabelingJobName: more than 63"),
        ({"RoleArn": "a-role-that-is-no-arn"}, "/RoleArn: not"),
        ({"InputConfig": {"DataSource": {}, "DataAttributes": {"ContentClassifiers": ["Clean"]}}}, "not one of"),
        ({"StoppingConditions": {"MaxPercentageOfInputDatasetLabeled": 101}}, "more than 100"),
        ({"OutputConfig": {}}, "Missing required parameter"),
        ({"Surprise": 1}, "Unknown parameter"),
    ],
)  # fmt: skip
def test_the_fake_refuses_what_sagemaker_would(change: dict[str, Any], breach: str) -> None:
    request = labeling_job("moderato-1", INPUTS, TASK) | change
    assert breach in "; ".join(problems_of(request))


def test_a_region_without_ground_truth_is_refused() -> None:
    with pytest.raises(ValueError, match="no text tasks in this region"):
        labeling_job("moderato-1", INPUTS, Task("eu-north-1", TASK.bucket, TASK.role, TASK.workteam))


def test_a_job_name_is_that_of_its_reviews_and_time() -> None:
    noon, later = datetime(2026, 11, 21, 12, tzinfo=UTC), datetime(2026, 11, 21, 12, 0, 0, 1, tzinfo=UTC)
    name = job_name(["r_1", "r_2"], noon)
    assert name.startswith("moderato-20261121-120000-")
    assert name == job_name(["r_1", "r_2"], noon)
    assert len({name, job_name(["r_1"], noon), job_name(["r_1", "r_2"], later)}) == 3
    assert problems_of(labeling_job(name, INPUTS, TASK)) == []


def test_a_key_is_the_hash_of_what_is_under_it() -> None:
    assert content_key("labeling/input", b"abc", "manifest") == (
        "labeling/input/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.manifest"
    )


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("s3://a-bucket/labeling/input/1.manifest", "labeling/input/1.manifest"),
        ("s3://another/labeling/input/1.manifest", None),
        ("s3://a-bucket/secrets/1.manifest", None),
    ],
)
def test_only_our_own_manifest_is_read_back(uri: str, key: str | None) -> None:
    described = {"InputConfig": {"DataSource": {"S3DataSource": {"ManifestS3Uri": uri}}}}
    assert manifest_key(described, "a-bucket") == key


class Elements(HTMLParser):
    """Gathers a page's elements, attributes and texts."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Part of HTMLParser."""
        self.attributes[tag] = dict(attrs)
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Part of HTMLParser."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Part of HTMLParser."""
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data


def test_the_text_stands_in_the_template_once_as_the_content_of_an_element() -> None:
    page = template(CATEGORIES)
    assert page.count("task.input.taskObject") == 1
    elements = Elements(page)
    assert elements.texts["classification-target"] == "{{ task.input.taskObject }}"
    assert "white-space: pre-wrap" in (elements.attributes["classification-target"]["style"] or "")
    assert elements.attributes["crowd-classifier-multi-select"]["categories"] == (
        "{{ task.input.labels | to_json | escape }}"
    )
    assert "skip_autoescape" not in page
    assert "none" in elements.texts["b"]


def test_the_template_says_what_a_category_means() -> None:
    page = template(CATEGORIES)
    assert "Inflammatory or demeaning towards a person or a group" in page
    assert "obscene" not in page  # profanity is none of the categories


def test_a_category_without_a_definition_is_passed_over() -> None:
    page = template(["{{ 7 | times: 6 }}<script>"])
    assert page.count("{{") == 2
    assert "times" not in page


def test_a_definition_is_text_and_no_liquid() -> None:
    page = template(["odd"], {"odd": Definition("{{ 7 | times: 6 }}", "<b>{% raw %}</b>")})
    assert page.count("{{") == 2
    assert "{%" not in page
    assert "&lt;b&gt;" in page


def test_a_worker_is_known_by_the_name_they_sign_in_with() -> None:
    found = read_worker_responses([worker_response("ann", ["threat", "insult"])], CATEGORIES)
    assert found == WorkerAnswers([WorkerAnswer("ann", frozenset({"insult", "threat"}))], [])


def test_a_worker_without_identity_is_known_by_their_id() -> None:
    content = json.loads(worker_response("ann", ["none"]))
    del content["answers"][0]["workerMetadata"]
    found = read_worker_responses([json.dumps(content).encode()], CATEGORIES)
    assert found.answers == [WorkerAnswer("private.us-east-1.ann", frozenset({"none"}))]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{", Fault.NOT_JSON),
        (b"[" * 50_000, Fault.NOT_JSON),
        (b'{"answers": [{"workerId": 7}]}', Fault.NOT_JSON),
        (worker_response("ann", ["insult"]) + b" " * 200_000, Fault.NOT_JSON),
        (worker_response("ann", []), Fault.NOT_ANNOTATED),
        (worker_response("ann", ["rude"]), Fault.UNKNOWN_LABEL),
        (worker_response("ann", ["none", "insult"]), Fault.CONTRADICTION),
        (worker_response("<script>", ["insult"]), Fault.UNKNOWN_ANNOTATOR),
        (worker_response("a" * 129, ["insult"]), Fault.UNKNOWN_ANNOTATOR),
    ],
)
def test_a_bad_worker_response_is_refused(content: bytes, fault: Fault) -> None:
    assert read_worker_responses([content], CATEGORIES) == WorkerAnswers([], [fault])


def test_a_worker_answers_a_text_once() -> None:
    found = read_worker_responses([worker_response("ann", ["insult"]), worker_response("ann", ["threat"])], CATEGORIES)
    assert found == WorkerAnswers([WorkerAnswer("ann", frozenset({"insult"}))], [Fault.DUPLICATE])


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("iteration-1/0/2021-03-08_23:06:49.json", 0),
        ("iteration-12/345/x.json", 345),
        ("iteration-1/0/a/b.json", None),
        ("iteration-1/-1/x.json", None),
        ("1/x.json", None),
        ("iteration-1/0/a name.json", None),
        ("iteration-1/0/.json", None),
        ("iteration-1/\u0663/2026.json", None),
    ],
)
def test_a_worker_response_lies_under_the_number_of_its_line(name: str, number: int | None) -> None:
    assert object_of(name) == number
