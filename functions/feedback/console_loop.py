"""The page on the loop: what waits, what settled, how annotators agree, and what models made of it."""

from aws_lambda_powertools.event_handler import Response

from feedback.console_site import Site, Visit
from feedback.console_views import WHY, Views
from feedback.loop import Models, loop_of


def add_loop_page(site: Site, views: Views, models: Models | None) -> None:
    """Add the page on the loop; without `models` it has nothing on datasets and models."""

    @site.show("/console/loop")
    def show_loop(visit: Visit) -> Response[str]:
        report = loop_of(views.queue, views.store, models, visit.caller)
        return site.pages.render("loop.html", visit.caller, report=report, why=WHY, json_url="/loop")
