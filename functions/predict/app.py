"""Moderation over HTTP: score each text, decide by the policy, keep what a human may need, answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.typing import LambdaContext

from moderato.api import Guard, create_resolver, open_to_all, parse, respond
from moderato.clock import Clock, utc_now
from moderato.contracts import (
    Health,
    ModelResponse,
    ModerateItem,
    ModerateRequest,
    ModerateResponse,
    ModerateResult,
)
from moderato.decisions import PolicyName
from moderato.errors import InvalidRequest
from moderato.judge import Judge, Outcome
from moderato.policy import Policy, require_known
from moderato.retention import Retention
from moderato.scorer import Scorer
from moderato.store import Store
from moderato.telemetry import Count, ignore

Handler = Callable[[dict[str, Any], LambdaContext], dict[str, Any]]

DEFAULT_POLICY = "default"


def create_app(
    scorer: Scorer,
    card: str,
    policies: Mapping[str, Policy],
    store: Store,
    retention: Retention,
    logger: Logger,
    clock: Clock = utc_now,
    count: Count = ignore,
    guard: Guard = open_to_all,
) -> Handler:
    """The Lambda handler of moderation; `policies` has one named "default", `card` is the model's, in Markdown.

    `guard` sees each request first. Raises BrokenPolicy when a policy names a category that the model does not score.
    """
    require_known(policies, scorer.manifest.category_names)
    resolver = create_resolver(logger, guard, count)
    judge = Judge(scorer, retention, clock)

    @resolver.post("/moderate")
    def moderate() -> Response[str]:
        request = parse(resolver.current_event, ModerateRequest)
        policy = policy_of(request.policy, policies)
        outcomes = judge.each(items_of(request), policy, request.store, request.explain)
        _record(outcomes, store)
        results = [outcome.result for outcome in outcomes]
        report(results, logger, count)
        return respond(ModerateResponse(judge.model, PolicyName(policy.name, policy.version), results))

    @resolver.get("/model")
    def show_model() -> Response[str]:
        return respond(ModelResponse(scorer.manifest, card))

    @resolver.get("/healthz")
    @resolver.get("/readyz")
    def tell_health() -> Response[str]:
        # An app is only made around a verified scorer, so one that answers is ready.
        return respond(Health())

    @resolver.get("/openapi.json")
    def show_openapi() -> Response[str]:
        # Hardly anybody asks, and every cold start would pay for its import: 6 ms.
        from moderato.openapi import document

        return respond(document())

    def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
        return resolver.resolve(event, context)

    return handler


def items_of(request: ModerateRequest) -> Sequence[ModerateItem]:
    """The texts of a request. Raises InvalidRequest unless exactly one of `text` and `items` is there, ids unique."""
    if (request.text is None) == (request.items is None):
        given = "neither" if request.text is None else "both"
        raise InvalidRequest(f"exactly one of `text` and `items` is needed; the body has {given}")
    if request.items is None:
        return [ModerateItem(text=request.text or "")]
    ids = [item.id for item in request.items if item.id is not None]
    if len(set(ids)) != len(ids):
        raise InvalidRequest.of("/items", "two items have the same id; results could not be told apart")
    return request.items


def policy_of(name: str | None, policies: Mapping[str, Policy]) -> Policy:
    """Return the policy that a request names, or the default one. Raises InvalidRequest where there is none."""
    policy = policies.get(name or DEFAULT_POLICY)
    if policy is None:
        raise InvalidRequest.of("/policy", f"unknown policy; the known ones are {', '.join(sorted(policies))}")
    return policy


def report(results: Sequence[ModerateResult], logger: Logger, count: Count = ignore) -> None:
    """Log one request's results in figures, and count each action."""
    flagged, stored = sum(result.flagged for result in results), sum(result.stored for result in results)
    logger.info("moderated", extra={"texts": len(results), "flagged": flagged, "stored": stored})
    for result in results:
        count(f"decided_{result.action}")


def _record(outcomes: Sequence[Outcome], store: Store) -> None:
    decisions = [outcome.decision for outcome in outcomes if outcome.decision is not None]
    reviews = [outcome.review for outcome in outcomes if outcome.review is not None]
    # An allowed text that nobody will look at touches no database.
    if decisions:
        store.record_decisions(decisions, reviews)
