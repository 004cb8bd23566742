"""The review console: pages for moderators and annotators, rendered here, usable without JavaScript."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from feedback.console_decisions import add_decision_pages
from feedback.console_disputes import add_dispute_pages
from feedback.console_loop import add_loop_page
from feedback.console_pages import Pages, redirect
from feedback.console_reviews import add_review_pages
from feedback.console_site import MaybeCaller, Site
from feedback.console_views import Explain, Views
from feedback.loop import Models
from moderato.api import Identify, Resolver
from moderato.clock import Clock, utc_now
from moderato.errors import UnknownRoute
from moderato.policy import Threshold
from moderato.review_queue import ReviewQueue
from moderato.store import Store


@dataclass(frozen=True)
class Console:
    """What the console can have beside the queue and the store; without any of it, it shows less."""

    explain: Explain | None = None
    """Finds the spans of a text that speak for a category; None = no highlights."""
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    """Of the policy in use, for the marks on scores that reached none."""
    models: Models | None = None
    """Tells of champion, challengers and datasets; None = the page on the loop, and its JSON, leave them out."""
    identify: MaybeCaller | None = None
    """Who is signed in to the console; None = as for the API."""
    sign_in_url: str | None = None
    """Where people without a session are sent, with the page that they asked for; None = they are answered 401."""
    add_pages: Callable[[Site], None] | None = None
    """Adds pages of whoever serves the console: those to sign in and out."""


def register(
    resolver: Resolver,
    queue: ReviewQueue,
    store: Store,
    categories: Sequence[str],
    identify: Identify,
    logger: Logger,
    clock: Clock = utc_now,
    console: Console | None = None,
) -> None:
    """Add the console's routes, all under /console, to the resolver of the feedback app."""
    console = console or Console()
    pages = Pages(clock, console.sign_in_url)
    site = Site(resolver, pages, console.identify or identify, logger, console.sign_in_url)
    views = Views(queue, store, categories, console.thresholds, console.explain)
    _add_static_files(site)
    add_review_pages(site, views)
    add_dispute_pages(site, views)
    add_decision_pages(site, views)
    add_loop_page(site, views, console.models)
    if console.add_pages is not None:
        console.add_pages(site)
    _add_unknown_pages(site)


def _add_static_files(site: Site) -> None:
    @site.open("GET", "/console/static/<name>")
    def show_file(_event: APIGatewayProxyEventV2, name: str) -> Response[str]:
        found = site.pages.static(name)
        if found is None:
            raise UnknownRoute("the console has no such file")
        return found

    @site.open("GET", "/console")
    def show_console(_event: APIGatewayProxyEventV2) -> Response[str]:
        return redirect("/console/reviews")


def _add_unknown_pages(site: Site) -> None:
    def refuse(_event: APIGatewayProxyEventV2) -> Response[str]:
        raise UnknownRoute("The console has no such page.")

    # The last of all: what no route before it has.
    for method in ("GET", "POST"):
        site.open(method, "/console/(.+)")(refuse)
