"""The pages of reviews: the queue, one text at a time, and the forms that answer, skip and undo."""

from urllib.parse import urlencode

from aws_lambda_powertools.event_handler import Response

from feedback.console_forms import (
    Form,
    check_decision_id,
    check_review_id,
    read_answer,
    read_cursor,
    read_filters,
)
from feedback.console_pages import redirect
from feedback.console_site import Site, Visit
from feedback.console_views import WHY, Views, flagged, parameters_of
from feedback.loop import count_by_reason
from moderato.errors import InvalidRequest
from moderato.reviews import Status

PAGE_SIZE = 25
AGES = {"1": "a day", "7": "a week", "30": "a month"}
"""Days for `older_than_days`, and how people say them."""


def add_review_pages(site: Site, views: Views) -> None:
    """Add the queue and the pages on which annotators answer."""
    _add_queue(site, views)
    _add_next(site, views)
    _add_review(site, views)
    _add_undo(site, views)
    _add_search(site)


def _add_queue(site: Site, views: Views) -> None:
    @site.show("/console/reviews")
    def show_queue(visit: Visit) -> Response[str]:
        filters = read_filters(visit.query, views.categories)
        page = views.queue.waiting(filters, PAGE_SIZE, read_cursor(visit.query))
        parameters = parameters_of(filters)
        return site.pages.render(
            "queue.html",
            visit.caller,
            page=page,
            flagged=flagged,
            counts=count_by_reason(views.store, Status.WAITING),
            parameters=parameters,
            next_url=_address("/console/reviews", parameters | {"cursor": page.cursor or ""}),
            json_url=_address("/reviews", {"status": "waiting", **parameters}),
            categories=views.categories,
            ages=AGES,
            why=WHY,
            progress=views.queue.progress(visit.caller.name),
            notice=visit.notice,
        )


def _add_next(site: Site, views: Views) -> None:
    @site.show("/console/reviews/next")
    def show_next(visit: Visit) -> Response[str]:
        filters = read_filters(visit.query, views.categories)
        parameters = parameters_of(filters)
        offered = views.queue.offer(visit.caller.name, filters)
        if offered is not None:
            said = {name: visit.query[name] for name in ("notice", "last") if visit.query.get(name)}
            return redirect(f"/console/reviews/{offered.review_id}", parameters | said)
        return site.pages.render(
            "done.html",
            visit.caller,
            parameters=parameters,
            json_url=_address("/reviews/next", parameters),
            progress=views.queue.progress(visit.caller.name),
            undo=views.last_answer(visit.caller.name),
            notice=visit.notice,
        )


def _add_review(site: Site, views: Views) -> None:
    @site.show("/console/reviews/<review_id>")
    def show_review(visit: Visit, review_id: str) -> Response[str]:
        return _review_page(site, views, visit, review_id)

    @site.act("/console/reviews/<review_id>/answer")
    def answer_review(visit: Visit, review_id: str) -> Response[str]:
        check_review_id(review_id)
        form = visit.form()
        parameters = _parameters_in(form, views)
        try:
            answer = read_answer(form, views.categories)
        except InvalidRequest as error:
            return _review_page(site, views, visit, review_id, form, error)
        views.queue.annotate(review_id, visit.caller.name, answer.labels, answer.note)
        notice = "skipped" if answer.labels is None else "saved"
        return redirect("/console/reviews/next", parameters | {"notice": notice, "last": review_id})


def _add_undo(site: Site, views: Views) -> None:
    @site.act("/console/reviews/<review_id>/undo")
    def undo_answer(visit: Visit, review_id: str) -> Response[str]:
        check_review_id(review_id)
        parameters = _parameters_in(visit.form(), views)
        views.queue.withdraw(review_id, visit.caller.name)
        if visit.caller.is_adjudicator and views.review_status(review_id) is Status.DISPUTED:
            return redirect(f"/console/disputes/{review_id}", {"notice": "reopened"})
        return redirect(f"/console/reviews/{review_id}", parameters | {"notice": "undone"})


def _add_search(site: Site) -> None:
    # A form by POST: what people paste into a search field can be a user's text, and addresses end up in logs.
    @site.act("/console/search")
    def search(visit: Visit) -> Response[str]:
        wanted = visit.form().one("id").strip()
        if wanted.startswith("r_"):
            check_review_id(wanted)
            return redirect(f"/console/reviews/{wanted}")
        check_decision_id(wanted)
        return redirect(f"/console/decisions/{wanted}")


def _review_page(
    site: Site,
    views: Views,
    visit: Visit,
    review_id: str,
    form: Form | None = None,
    error: InvalidRequest | None = None,
) -> Response[str]:
    check_review_id(review_id)
    view = views.review(review_id, visit.caller)
    return site.pages.render(
        "review.html",
        visit.caller,
        status=200 if error is None else error.status,
        view=view,
        rows=views.scores(view.review.scores, view.review.reasons),
        spans=views.spans(view.review.text),
        categories=views.categories,
        parameters=_parameters_in(form, views) if form else parameters_of(read_filters(visit.query, views.categories)),
        json_url=f"/reviews/{review_id}",
        why=WHY,
        progress=views.queue.progress(visit.caller.name),
        undo=views.last_answer(visit.caller.name),
        last=_last(visit),
        notice=visit.notice,
        form=form or Form([]),
        error=error,
    )


def _parameters_in(form: Form, views: Views) -> dict[str, str]:
    values = {name: form.one(name) for name in ("reason", "category", "older_than_days")}
    return parameters_of(read_filters(values, views.categories))


def _last(visit: Visit) -> str | None:
    last = visit.query.get("last")
    if last:
        check_review_id(last)
    return last or None


def _address(path: str, parameters: dict[str, str]) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path
