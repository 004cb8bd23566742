"""The page on the loop: what waits, what settled, how annotators agree, and what models made of it."""

from collections.abc import Callable

from aws_lambda_powertools.event_handler import Response

from feedback.console_models import ModelsReport
from feedback.console_site import Site, Visit
from feedback.console_views import WHY, Views
from moderato.reviews import Status

SHOWN = (Status.WAITING, Status.LABELING, Status.DISPUTED, Status.SETTLED)
"""Where a review can stand, in the order of its way; gold is nobody's business."""


def add_loop_page(site: Site, views: Views, models: Callable[[], ModelsReport] | None) -> None:
    """Add the page on the loop; without `models` it has nothing on datasets and models."""

    @site.show("/console/loop")
    def show_loop(visit: Visit) -> Response[str]:
        return site.pages.render(
            "loop.html",
            visit.caller,
            report=views.queue.loop_report(),
            counts={status: views.counts(status) for status in SHOWN},
            models=None if models is None else models(),
            why=WHY,
            json_url="/loop",
        )
