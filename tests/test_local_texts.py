"""Reading texts from files: what is a row, and what is said of a bad one."""

from pathlib import Path

import pytest

from local.texts import BadRow, Row, UnreadableFile, count_lines, read

MARKER = "zebrafish"


def rows_of(tmp_path: Path, name: str, content: bytes, column: str | None = None) -> list[Row | BadRow]:
    """Write a file and read its rows."""
    path = tmp_path / name
    path.write_bytes(content)
    return list(read(path, column))


def test_a_csv_row_is_named_by_the_line_it_ends_on_and_by_its_id(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "a.csv", '\ufeffid,text\nx,"one\ntwo"\ny,three\n'.encode())
    assert rows == [Row(3, "one\ntwo", "x"), Row(4, "three", "y")]


def test_a_missing_column_is_answered_with_the_columns_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no column 'text'; choose one of 'id', 'comment' by --text-column"):
        rows_of(tmp_path, "a.csv", b"id,comment\n1,hello\n")
    assert rows_of(tmp_path, "a.csv", b"id,comment\n1,hello\n", "comment") == [Row(2, "hello", "1")]


def test_an_empty_csv_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="is empty"):
        rows_of(tmp_path, "a.csv", b"")


def test_a_text_file_has_one_text_a_line(tmp_path: Path) -> None:
    assert rows_of(tmp_path, "a.txt", b"one\r\n\ntwo") == [Row(1, "one"), Row(3, "two")]


def test_json_lines_hold_objects(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "a.jsonl", b'{"text": "one", "id": 7}\n[1]\nnot json\n{"text": 1}\n{"text": "two"}\n')
    assert [row.line for row in rows if isinstance(row, Row)] == [1, 5]
    assert [row.line for row in rows if isinstance(row, BadRow)] == [2, 3, 4]
    assert rows[0] == Row(1, "one", "7")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", b"text\nzebrafish\xff\nfine\n", "not valid UTF-8"),
        ("a.txt", b"zebrafish\xff\nfine\n", "not valid UTF-8"),
        ("a.jsonl", b'{"text": "zebrafish\xff"}\n{"text": "fine"}\n', "not JSON in UTF-8"),
        ("a.jsonl", b'{"text": "zebrafish\\ud800"}\n{"text": "fine"}\n', "not JSON in UTF-8"),
        ("a.jsonl", b'{"text": ["zebrafish"]}\n{"text": "fine"}\n', "string under 'text'"),
        ("a.csv", b"id,text\nzebrafish\n1,fine\n", "the text would be field 2"),
        ("a.csv", b"id,text\nzebrafish,\n1,fine\n", "empty"),
        ("a.txt", b"zebrafish" * 2223 + b"\nfine\n", "has 20007 characters; at most 20000"),
    ],
)
def test_a_bad_row_says_why_without_its_text_and_stops_nothing(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    bad, good = rows_of(tmp_path, name, content)
    assert isinstance(bad, BadRow)
    assert why in bad.why
    assert MARKER not in bad.why
    assert isinstance(good, Row)
    assert good.text == "fine"


def test_a_missing_file_and_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"ends in \.csv, \.jsonl, \.txt"):
        rows_of(tmp_path, "a.xlsx", b"")
    with pytest.raises(UnreadableFile, match="cannot be read: No such file"):
        list(read(tmp_path / "none.txt"))


def test_lines_are_counted_as_reading_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\ntwo\nthree")
    assert count_lines(path) == 3
