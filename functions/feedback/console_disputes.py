"""The pages of disputed reviews, for adjudicators: answers side by side, and the form that decides."""

from dataclasses import dataclass

from aws_lambda_powertools.event_handler import Response

from feedback.console_forms import Form, check_review_id, read_cursor, read_labels, read_note
from feedback.console_pages import redirect
from feedback.console_reviews import PAGE_SIZE
from feedback.console_site import Site, Visit
from feedback.console_views import WHY, Views, flagged
from moderato.api import Caller
from moderato.errors import Conflict, Forbidden, InvalidRequest
from moderato.reviews import Annotation, Status


@dataclass(frozen=True)
class Dispute:
    """Answers that differ: what annotators said, and the categories that somebody has to decide."""

    answers: list[Annotation]
    disputed: list[str]
    agreed: list[str]
    """The other categories: what is agreed on stands."""


def add_dispute_pages(site: Site, views: Views) -> None:
    """Add the list of disputed reviews, and the page on which an adjudicator decides one."""

    @site.show("/console/disputes")
    def show_disputes(visit: Visit) -> Response[str]:
        _check_adjudicator(visit.caller)
        page = views.queue.disputed(PAGE_SIZE, read_cursor(visit.query))
        return site.pages.render(
            "disputes.html",
            visit.caller,
            page=page,
            flagged=flagged,
            why=WHY,
            json_url="/reviews?status=disputed",
            undo=views.last_answer(visit.caller.name),
            notice=visit.notice,
        )

    @site.show("/console/disputes/<review_id>")
    def show_dispute(visit: Visit, review_id: str) -> Response[str]:
        _check_adjudicator(visit.caller)
        check_review_id(review_id)
        return _dispute_page(site, views, visit, review_id)

    @site.act("/console/disputes/<review_id>/decide")
    def decide_dispute(visit: Visit, review_id: str) -> Response[str]:
        _check_adjudicator(visit.caller)
        check_review_id(review_id)
        form = visit.form()
        try:
            labels, note = read_labels(form, views.categories), read_note(form)
        except InvalidRequest as error:
            return _dispute_page(site, views, visit, review_id, form, error)
        views.queue.adjudicate(review_id, visit.caller.name, labels, note)
        return redirect("/console/disputes", {"notice": "decided"})


def _dispute_page(
    site: Site,
    views: Views,
    visit: Visit,
    review_id: str,
    form: Form | None = None,
    error: InvalidRequest | None = None,
) -> Response[str]:
    review = views.queue.get(review_id)
    if review.status is not Status.DISPUTED:
        raise Conflict("This review is not disputed, or not any more.")
    dispute = _dispute(views, review_id, visit.caller)
    return site.pages.render(
        "dispute.html",
        visit.caller,
        status=200 if error is None else error.status,
        review=review,
        dispute=dispute,
        hindrance=_hindrance(views, review_id, dispute, visit.caller),
        rows=views.scores(review.scores, review.reasons),
        spans=views.spans(review.text),
        why=WHY,
        json_url=f"/reviews/{review_id}",
        notice=visit.notice,
        form=form or Form([]),
        error=error,
    )


def _dispute(views: Views, review_id: str, caller: Caller) -> Dispute:
    answers = views.queue.answers(review_id, caller.name, is_adjudicator=True)
    disputed = views.queue.disputed_categories(review_id)
    return Dispute(
        answers=[answer for answer in answers if answer.labels is not None and not answer.is_adjudication],
        disputed=disputed,
        agreed=[category for category in views.categories if category not in disputed],
    )


def _check_adjudicator(caller: Caller) -> None:
    if not caller.is_adjudicator:
        raise Forbidden("Disputed reviews are for adjudicators.")


def _hindrance(views: Views, review_id: str, dispute: Dispute, caller: Caller) -> str | None:
    if views.is_reporter(review_id, caller):
        return "You reported this text, so somebody else decides."
    if any(answer.annotator == caller.name for answer in dispute.answers):
        return "You are one of its annotators, so somebody else decides."
    return None
