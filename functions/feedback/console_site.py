"""The console's routes, each behind the checks that every page needs, and with errors that people can read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from feedback.console_forms import Form, read_form
from feedback.console_pages import Pages, redirect
from feedback.console_security import FIRST_PAGE, page_after_sign_in, refuse_foreign
from moderato.api import Caller, Resolver
from moderato.errors import BadCredential, Forbidden, NotSignedIn, RequestError

MaybeCaller = Callable[[APIGatewayProxyEventV2], Caller | None]
"""Tells who is signed in; None, or NotSignedIn raised, where nobody is, and Forbidden where it is somebody else."""

NOTICES = {
    "saved": "Answer saved.",
    "skipped": "Skipped; it will not be offered to you again.",
    "undone": "Undone. This text waits for your answer again.",
    "reopened": "Undone. This dispute waits for a decision again.",
    "decided": "Decided. The review is settled.",
    "erased": "Erased for good, with its feedback, review and label.",
}
"""What a page says of the form that led to it; addresses carry the key, and never words of their own."""


class SessionEnded(BadCredential):
    """What signed somebody in is not accepted, or not any more: they read so, and sign in again."""

    title = "Session ended"
    slug = "session-ended"


class Outsider(Forbidden):
    """Somebody is signed in, and the console is not for them: they may sign out, and in as somebody else."""

    title = "No access to the console"
    slug = "no-access"


Route = Callable[..., Response[str]]
"""Answers a visit; the ids in its path come as keyword arguments."""


@dataclass(frozen=True)
class Visit:
    """One request for a page, by somebody who is signed in."""

    event: APIGatewayProxyEventV2
    caller: Caller

    @property
    def query(self) -> Mapping[str, str]:
        """The parameters of the query string."""
        return self.event.query_string_parameters

    @property
    def notice(self) -> str | None:
        """What the form that led here did, if one did."""
        return NOTICES.get(self.query.get("notice", ""))

    def form(self) -> Form:
        """Return the form that was sent, or raise the RequestError that says what is wrong with it."""
        return read_form(self.event)


@dataclass(frozen=True)
class Site:
    """Where pages are added: each gets a `Visit`, and may raise any RequestError, which is answered as a page."""

    resolver: Resolver
    pages: Pages
    identify: MaybeCaller
    logger: Logger
    sign_in_url: str | None

    def show(self, path: str) -> Callable[[Route], Route]:
        """Add a page."""
        return lambda route: self._add("GET", path, lambda event, ids: route(self._visit(event), **ids))

    def act(self, path: str) -> Callable[[Route], Route]:
        """Add what a form does; forms from other sites are refused."""

        def answer(route: Route, event: APIGatewayProxyEventV2, ids: dict[str, str]) -> Response[str]:
            refuse_foreign(event)
            return route(self._visit(event), **ids)

        return lambda route: self._add("POST", path, lambda event, ids: answer(route, event, ids))

    def open(self, method: str, path: str) -> Callable[[Route], Route]:
        """Add a route for anybody, signed in or not; it gets the event."""
        return lambda route: self._add(method, path, lambda event, ids: route(event, **ids))

    def refuse(self, event: APIGatewayProxyEventV2, error: RequestError) -> Response[str]:
        """Return the page that says what is wrong."""
        self.logger.info("refused", extra={"status": error.status, "problem": error.slug})
        answer = self.pages.render(
            "error.html",
            self._known(event),
            error.status,
            error=error,
            is_outsider=isinstance(error, Outsider),
            page_parameters=_page_parameters(event),
        )
        answer.headers |= error.headers
        return answer

    def _add(
        self, method: str, path: str, answer: Callable[[APIGatewayProxyEventV2, dict[str, str]], Response[str]]
    ) -> Route:
        def route(**ids: str) -> Response[str]:
            event = self.resolver.current_event
            try:
                return answer(event, ids)
            except BadCredential as error:
                # Not sent to sign in: who is let in there and refused here would go round in circles.
                return self.refuse(event, error)
            except NotSignedIn as error:
                return self._ask_to_sign_in(event, error)
            except RequestError as error:
                return self.refuse(event, error)

        self.resolver.route(path, method)(route)
        return route

    def _ask_to_sign_in(self, event: APIGatewayProxyEventV2, error: NotSignedIn) -> Response[str]:
        if self.sign_in_url is None:
            return self.refuse(event, error)
        if event.request_context.http.method != "GET":
            lost = "You are not signed in, or not any more, so nothing was saved. Sign in, and send the form again."
            return self.refuse(event, NotSignedIn(lost))
        return redirect(self.sign_in_url, _page_parameters(event))

    def _visit(self, event: APIGatewayProxyEventV2) -> Visit:
        try:
            caller = self.identify(event)
        except BadCredential:
            raise
        except NotSignedIn:
            caller = None
        if caller is None:
            raise NotSignedIn("Nobody is signed in, and the console is for moderators and annotators.")
        return Visit(event, caller)

    def _known(self, event: APIGatewayProxyEventV2) -> Caller | None:
        try:
            return self.identify(event)
        except (NotSignedIn, Forbidden):
            return None


def _page_parameters(event: APIGatewayProxyEventV2) -> dict[str, str]:
    """Return what tells the sign-in where to lead, empty where that is the first page."""
    if event.request_context.http.method != "GET":
        return {}
    # A key stays behind: beside a session it would be one credential too many, and in links others may read it.
    query = "" if "key" in event.query_string_parameters else event.raw_query_string
    page = page_after_sign_in(f"{event.path}?{query}" if query else event.path)
    return {} if page == FIRST_PAGE else {"page": page}
