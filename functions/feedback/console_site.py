"""The console's routes, each behind the checks that every page needs, and with errors that people can read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from feedback.console_forms import Form, read_form
from feedback.console_pages import Pages, redirect
from feedback.console_security import refuse_foreign
from moderato.api import Caller, Resolver
from moderato.errors import NotSignedIn, RequestError

MaybeCaller = Callable[[APIGatewayProxyEventV2], Caller | None]
"""Tells who is signed in; None, or NotSignedIn raised, where nobody is."""

NOTICES = {
    "saved": "Answer saved.",
    "skipped": "Skipped; it will not be offered to you again.",
    "undone": "Undone. This text waits for your answer again.",
    "reopened": "Undone. This dispute waits for a decision again.",
    "decided": "Decided. The review is settled.",
    "erased": "Erased for good, with its feedback, review and label.",
}
"""What a page says of the form that led to it; addresses carry the key, and never words of their own."""

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

    def _add(
        self, method: str, path: str, answer: Callable[[APIGatewayProxyEventV2, dict[str, str]], Response[str]]
    ) -> Route:
        def route(**ids: str) -> Response[str]:
            event = self.resolver.current_event
            try:
                return answer(event, ids)
            except NotSignedIn as error:
                return self._refuse(event, error) if self.sign_in_url is None else redirect(self.sign_in_url)
            except RequestError as error:
                return self._refuse(event, error)

        self.resolver.route(path, method)(route)
        return route

    def _visit(self, event: APIGatewayProxyEventV2) -> Visit:
        caller = self._caller(event)
        if caller is None:
            raise NotSignedIn("Nobody is signed in, and the console is for moderators and annotators.")
        return Visit(event, caller)

    def _caller(self, event: APIGatewayProxyEventV2) -> Caller | None:
        try:
            return self.identify(event)
        except NotSignedIn:
            return None

    def _refuse(self, event: APIGatewayProxyEventV2, error: RequestError) -> Response[str]:
        self.logger.info("refused", extra={"status": error.status, "problem": error.slug})
        return self.pages.render("error.html", self._caller(event), error.status, error=error)
