"""The pages of decisions: the list, one decision with its feedback and review, and its erasure."""

from aws_lambda_powertools.event_handler import Response

from feedback.console_forms import check_decision_id, read_cursor
from feedback.console_pages import redirect
from feedback.console_reviews import PAGE_SIZE
from feedback.console_site import Site, Visit
from feedback.console_views import Views
from moderato.api import require_eraser
from moderato.errors import InvalidRequest
from moderato.reviews import review_id_of


def add_decision_pages(site: Site, views: Views) -> None:
    """Add the list of decisions and the page of one."""

    @site.show("/console/decisions")
    def show_decisions(visit: Visit) -> Response[str]:
        page = views.store.list_decisions(PAGE_SIZE, read_cursor(visit.query))
        return site.pages.render(
            "decisions.html",
            visit.caller,
            page=page,
            is_first=not visit.query.get("cursor"),
            json_url="/decisions",
            notice=visit.notice,
        )

    @site.show("/console/decisions/<decision_id>")
    def show_decision(visit: Visit, decision_id: str) -> Response[str]:
        check_decision_id(decision_id)
        decision = views.store.get_decision(decision_id)
        review_id = review_id_of(decision_id, None)
        return site.pages.render(
            "decision.html",
            visit.caller,
            decision=decision,
            feedback=views.store.feedback_of(decision_id),
            review_id=review_id,
            review_status=views.review_status(review_id),
            rows=views.scores(decision.scores, decision.reasons),
            spans=views.spans(decision.text),
            json_url=f"/decisions/{decision_id}",
        )

    @site.act("/console/decisions/<decision_id>/erase")
    def erase_decision(visit: Visit, decision_id: str) -> Response[str]:
        check_decision_id(decision_id)
        require_eraser(visit.caller)
        if visit.form().one("confirm") != "erase":
            raise InvalidRequest("Tick the box that confirms the erasure; nothing was erased.")
        views.store.delete_decision(decision_id)
        site.logger.info("decision_erased", extra={"decision_id": decision_id})
        return redirect("/console/decisions", {"notice": "erased"})
