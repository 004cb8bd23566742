"""Pages for tests: HTML read back as a browser would, as far as tests ask."""

from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode

from aws_lambda_powertools.utilities.typing import LambdaContext

from tests.events import event

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
BLOCKS = {"div", "p", "li", "td", "th", "dt", "dd", "h1", "h2", "h3", "label", "bdi", "span", "a"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Element:
    """An element of a page, with its attributes, and the text within it."""

    def __init__(self, tag: str, attributes: dict[str, str | None], within: "tuple[Element, ...]") -> None:
        """Begin the element inside of others."""
        self.tag, self.attributes, self.within, self.text, self._apart = tag, attributes, within, "", ""

    def __getitem__(self, name: str) -> str | None:
        return self.attributes.get(name)

    @property
    def words(self) -> str:
        """The text in one line, with a space between what stands apart on a page."""
        return " ".join(self._apart.split())

    def add(self, text: str, apart: str = "") -> None:
        """Add text, or only a space between two blocks."""
        self.text += text
        self._apart += text or apart


class Page(HTMLParser):
    """The elements of a page, in their order."""

    def __init__(self, html: str) -> None:
        """Read the page."""
        super().__init__(convert_charrefs=True)
        self.html = html
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        element = Element(tag, dict(attrs), tuple(self._open))
        if tag in BLOCKS:
            self._part()
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if not any(element.tag == tag for element in self._open):
            return
        while self._open.pop().tag != tag:
            pass
        if tag in BLOCKS:
            self._part()

    def handle_data(self, data: str) -> None:
        """Give the text to every element that it is in."""
        for element in self._open:
            element.add(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of a tag that have these attributes."""
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element.tag == tag and all(element[name] == value for name, value in wanted.items())
        ]

    def one(self, element_id: str) -> Element:
        """Return the element of an id."""
        [element] = [element for element in self.elements if element["id"] == element_id]
        return element

    def has(self, element_id: str) -> bool:
        """Return whether an element has this id."""
        return any(element["id"] == element_id for element in self.elements)

    def text(self, tag: str) -> str:
        """Return the text of all elements of a tag, in one line."""
        return " ".join(element.words for element in self.all(tag))

    def _part(self) -> None:
        for element in self._open:
            element.add("", apart=" ")

    def duplicated_ids(self) -> list[str]:
        """Return ids that more than one element has."""
        counted = Counter(element["id"] for element in self.elements if element["id"])
        return [name for name, count in counted.items() if count > 1]

    def unlabelled(self) -> list[Element]:
        """Return the fields that no label names."""
        named = {label["for"] for label in self.all("label")}
        fields = [field for tag in ("input", "select", "textarea") for field in self.all(tag)]
        return [field for field in fields if field["type"] != "hidden" and field["id"] not in named]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str
    cookies: list[str]

    @property
    def page(self) -> Page:
        """The body, read as a page."""
        assert self.headers["content-type"] == "text/html; charset=utf-8"
        return Page(self.body)

    @property
    def location(self) -> str:
        """Where it sends the browser on to."""
        assert self.status == 303
        return self.headers["location"]


def call(app: Any, request: dict[str, Any]) -> Answer:
    """Send an event to a handler."""
    answer = app(request, LambdaContext())
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    return Answer(answer["statusCode"], headers, answer["body"], answer.get("cookies", []))


def get(app: Any, address: str, **headers: str) -> Answer:
    """Ask for a page, by its path and query."""
    path, _, query = address.partition("?")
    return call(app, asking("GET", path, query, headers))


def post(app: Any, path: str, fields: Any = (), **headers: str) -> Answer:
    """Send a form, as pairs of name and value, or its body as a string."""
    body = fields if isinstance(fields, str) else urlencode(fields)
    return call(app, asking("POST", path, "", FORM | headers, body))


def asking(method: str, path: str, query: str, headers: dict[str, str], body: str | None = None) -> dict[str, Any]:
    """Return the event of a request; underscores in header names are hyphens, and `cookie` has its own field."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    cookies = sent.pop("cookie", None)
    request = event(method, path, body, {"host": "console.test", **sent})
    request["rawQueryString"] = query
    if query:
        request["queryStringParameters"] = dict(pair.split("=", 1) for pair in query.split("&"))
    if cookies is not None:
        request["cookies"] = cookies.split("; ")
    return request
