"""The people of the demonstration: moderators and annotators who know the truth of a slice, and sometimes err."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bench.server import ServerProcess

FORM = {"content-type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Post:
    """A text of the slice and what is true of it: the categories that its dataset speaks of."""

    text: str
    truth: Mapping[str, bool]


@dataclass(frozen=True)
class Opinion:
    """What the champion said of a post, and the decision that its feedback is about."""

    decision_id: str
    flagged: frozenset[str]


class Person:
    """Somebody who is signed in to the console, and works through the API as the console's pages do."""

    def __init__(self, server: ServerProcess, name: str, is_adjudicator: bool = False) -> None:
        """Sign in."""
        self._server, self.name = server, name
        form = {"name": name} | ({"adjudicator": "yes"} if is_adjudicator else {})
        status, headers, _ = server.exchange("POST", "/console/sign-in", urlencode(form), FORM)
        cookie = headers.get("set-cookie", "").partition(";")[0]
        if status != 303 or not cookie:
            raise RuntimeError(f"signing in was answered with status {status}")
        self._headers = {"cookie": cookie}

    def ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  # JSON, as it comes
        """Send a request in this person's name; return the body of the answer."""
        status, answer = self._server.request(method, path, body, self._headers)
        if status >= 400:
            raise RuntimeError(f"{method} {path} was answered with status {status}: {answer}")
        return answer


def correct(moderator: Person, post: Post, opinion: Opinion) -> bool:
    """Give feedback where the champion is wrong about the post; return whether it was."""
    wrong = {name: true for name, true in post.truth.items() if true != (name in opinion.flagged)}
    if wrong:
        body = {"decision_id": opinion.decision_id, "text": post.text, "labels": wrong}
        moderator.ask("POST", "/feedback", body)
    return bool(wrong)


def annotate(annotator: Person, posts: Mapping[str, Post], opinions: Mapping[str, Opinion], mistakes: float) -> int:
    """Answer every review that is offered; return how many. A share of `mistakes` is answered wrongly.

    Of categories that the slice's dataset does not speak of, people here think what the champion thinks.
    """
    answered = 0
    while (offered := annotator.ask("GET", "/reviews/next")["review"]) is not None:
        text = offered["text"]
        labels = _belief(posts[text], opinions[text])
        if _draw(annotator.name, text) < mistakes:
            labels = sorted(set(labels) ^ set(posts[text].truth))
        annotator.ask("POST", f"/reviews/{offered['review_id']}/annotations", {"labels": labels})
        answered += 1
    return answered


def adjudicate(adjudicator: Person, posts: Mapping[str, Post], opinions: Mapping[str, Opinion]) -> int:
    """Decide every dispute by the truth; return how many."""
    decided = 0
    while reviews := adjudicator.ask("GET", "/reviews?status=disputed")["reviews"]:
        for review in reviews:
            labels = _belief(posts[review["text"]], opinions[review["text"]])
            adjudicator.ask("POST", f"/reviews/{review['review_id']}/adjudication", {"labels": labels})
            decided += 1
    return decided


def _belief(post: Post, opinion: Opinion) -> Sequence[str]:
    said = {name for name in opinion.flagged if name not in post.truth}
    return sorted(said | {name for name, true in post.truth.items() if true})


def _draw(*parts: str) -> float:
    """A number in [0, 1) that depends on its parts alone, so that a run can be repeated."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:6]) / 2**48
