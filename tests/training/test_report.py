"""The report: whole, self-contained, and without a word of any text."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from moderato.artifact import Problem
from tests.training.made import evaluated, held_out, judged, recipe
from training.config import Target
from training.evaluation import Bias, Evaluation, Robustness, Table, TermBias, Trick
from training.report import write_report

TARGETS = {"insult": Target(review_precision=0.6, block_precision=0.95)}


class Page(HTMLParser):
    """The ids, the addresses and the visible text of a page; fails on a tag that is not closed."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        """Note what the tag refers to."""
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href") and value:
                self.addresses.append(value)

    def handle_startendtag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        """A tag that closes itself opens nothing."""
        self.handle_starttag(tag, attributes)
        if tag not in ("meta", "link", "img", "br"):
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what is read."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    """A multi-label model with every optional finding."""
    texts = held_out(
        judged(
            [[3, -1], [2, 1], [1, 2], [-1, 0], [-2, 1], [-3, -2]], [[1, 0], [1, 1], [0, 1], [0, 0], [0, 1], [0, 0]], 20
        )
    )
    return msgspec.structs.replace(
        evaluated(recipe(targets=TARGETS), texts),
        bias=(
            Bias(
                category="insult",
                data="Templates.",
                terms=(
                    TermBias(term="<teenage>", rows=40, false_positive_rate=0.04, bpsn_auc=0.9),
                    TermBias(term="older", rows=40, false_positive_rate=0.01),
                ),
            ),
        ),
        robustness=Robustness(
            data="Disguised texts.",
            tricks=(
                Trick(
                    family="leet",
                    abusive_texts=50,
                    still_flagged=0.92,
                    friendly_texts=40,
                    newly_flagged=0.01,
                    is_trained=True,
                ),
                Trick(family="stars", abusive_texts=50, still_flagged=0.5, friendly_texts=40, newly_flagged=0.0),
            ),
        ),
        tables=(
            Table(
                title="Quantization",
                note="Of a test.",
                columns=("graph", "AUC"),
                rows=(("int8", 0.98661), ("fp32", None)),
            ),
        ),
    )


@pytest.fixture(scope="module")
def folder(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its report."""
    return write_report(evaluation, tmp_path_factory.mktemp("runs") / "report").parent


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    """The report for a browser."""
    return Page((folder / "report.html").read_text())


def test_the_page_asks_nothing_of_the_network(page: Page, folder: Path) -> None:
    assert {address[0] for address in page.addresses} == {"#"}
    source = (folder / "report.html").read_text()
    assert re.findall(r"(?:@import|url\((?!#))", source) == []
    assert {link.removeprefix("http://www.w3.org/") for link in re.findall(r"https?://[^\"'\s<)]+", source)} <= {
        "2000/svg",
        "1999/xlink",
    }


def test_every_link_of_the_page_leads_somewhere_in_it(page: Page) -> None:
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)


def test_the_page_tells_every_finding(page: Page) -> None:
    for told in (
        "Figures by category", "Thresholds", "Precision and recall", "Counts at 19 thresholds", "Calibration", "Scores",
        "Slices", "Bias by identity term", "3.0 points", "2.5%", "Robustness under character tricks", "71.0%",
        "Quantization", "0.9866", "50 bootstrap resamples",
    ):  # fmt: skip
        assert told in page.text, told


def test_the_page_warns_first(evaluation: Evaluation, page: Page) -> None:
    assert evaluation.warnings
    for warning in evaluation.warnings:
        assert warning in page.text.partition("Figures by category")[0]


def test_names_are_escaped(folder: Path) -> None:
    source = (folder / "report.html").read_text()
    assert "&lt;teenage&gt;" in source
    assert "<teenage>" not in source


def test_colours_are_the_page_s_own(folder: Path) -> None:
    body = (folder / "report.html").read_text().partition("</style>\n</head>")[2]
    assert "prefers-color-scheme: dark" in (folder / "report.html").read_text()
    assert re.findall(r"#[0-9a-f]{6}\b", body) == []


def test_the_markdown_s_plots_lie_beside_it(folder: Path) -> None:
    named = re.findall(r"!\[[^]]+\]\(([^)]+)\)", (folder / "report.md").read_text())
    assert sorted(named) == sorted(path.name for path in folder.glob("*.svg"))
    assert "precision-recall.svg" in named
    for name in named:
        assert ET.parse(folder / name).getroot().tag.endswith("svg")  # noqa: S314  # we wrote it


def test_the_markdown_s_tables_are_whole(folder: Path) -> None:
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", (folder / "report.md").read_text(), re.MULTILINE)
    assert len(blocks) >= 7
    for block in blocks:
        assert len({line.count("|") for line in block.splitlines()}) == 1


def test_no_text_is_in_the_report(folder: Path) -> None:
    for path in folder.iterdir():
        assert "Text number" not in path.read_text()


def test_the_same_findings_make_the_same_report(evaluation: Evaluation, folder: Path, tmp_path: Path) -> None:
    write_report(evaluation, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


def test_a_single_label_report_has_a_confusion_matrix(tmp_path: Path) -> None:
    texts = held_out(
        judged([[2, 1, 0], [0, 1, 0.5], [0, 1, 2], [1, 0, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]], 10)
    )
    made = evaluated(recipe(Problem.SINGLE_LABEL, ["world", "sports", "science"]), texts)
    page = Page(write_report(made, tmp_path).read_text())
    assert "Accuracy" in page.text
    assert "True category" in page.text
    assert "Matthews" in page.text
    assert (tmp_path / "confusion.svg").exists()


def test_a_binary_report_without_extras_is_whole(tmp_path: Path) -> None:
    made = evaluated(recipe(Problem.BINARY, ["insult"]), held_out(judged([[2], [1], [-2]], [[1], [0], [0]], 10)))
    page = Page(write_report(made, tmp_path).read_text())
    assert "A binary model of 1 category" in page.text
    assert "Bias" not in page.text
