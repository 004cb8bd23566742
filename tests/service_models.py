"""What AWS would say against a request, from botocore's models of its services and without a call.

botocore checks the names and types of a request, and minima. Services also refuse by what their models say of enums,
patterns and maxima, which botocore passes on unseen.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from tests.java_patterns import UnreadablePattern, compiled

_MEASURED: dict[str, tuple[Callable[[Any], float], str]] = {
    "string": (len, "{} characters"),
    "blob": (len, "{} bytes"),
    "list": (len, "{} entries"),
    "map": (len, "{} entries"),
    "integer": (float, "{}"),
    "long": (float, "{}"),
    "float": (float, "{}"),
    "double": (float, "{}"),
}
"""What a model's `max` of each type counts, and how it reads."""


def complaints(service: str, operation: str, request: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a request, each as its path and a sentence; nothing where the service would take it.

    `service` and `operation` are named as botocore names them: "sagemaker", "CreateTrainingJob". Patterns have to match
    the whole string, as AWS holds them. A pattern that Python cannot express is a complaint too, never passed over.
    """
    from botocore.validate import ParamValidator  # type: ignore[import-untyped]  # it has no types

    shape = _model(service).operation_model(operation).input_shape
    if shape is None:
        return [f"{name}: {operation} takes nothing" for name in request]
    report = ParamValidator().validate(dict(request), shape)
    shaped = report.generate_report().splitlines() if report.has_errors() else []
    # What has the wrong type is told once, and not measured.
    return [*shaped, *_beyond_shape(shape, dict(request), "")]


@cache
def _model(service: str) -> Any:
    import botocore.session  # type: ignore[import-untyped]  # it has no types

    return botocore.session.get_session().get_service_model(service)


def _beyond_shape(shape: Any, value: object, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure" and isinstance(value, Mapping):
        for name in value:
            if name in shape.members:
                yield from _beyond_shape(shape.members[name], value[name], f"{path}.{name}".removeprefix("."))
        return
    if kind == "map" and isinstance(value, Mapping):
        for key, each in value.items():
            yield from _beyond_shape(shape.key, key, f"{path} (key {key!r})")
            yield from _beyond_shape(shape.value, each, f"{path}.{key}")
    if kind == "list" and isinstance(value, Sequence) and not isinstance(value, str):
        for index, each in enumerate(value):
            yield from _beyond_shape(shape.member, each, f"{path}[{index}]")
    yield from (f"{path}: {problem}" for problem in _problems(shape, value))


def _problems(shape: Any, value: Any) -> Iterator[str]:
    if isinstance(value, bool) and shape.type_name in ("integer", "long", "float", "double"):
        yield f"{value} is no number"
        return
    if shape.type_name in _MEASURED and "max" in shape.metadata:
        yield from _too_much(shape, value)
    if not isinstance(value, str) or shape.type_name != "string":
        return
    if shape.enum and value not in shape.enum:
        yield f"{value!r} is none of {', '.join(shape.enum)}"
    if (pattern := shape.metadata.get("pattern")) is not None:
        yield from _mismatch(pattern, value)


def _too_much(shape: Any, value: Any) -> Iterator[str]:
    measure, reads = _MEASURED[shape.type_name]
    try:
        found = measure(value)
    except (TypeError, ValueError):
        return
    if found > float(most := shape.metadata["max"]):
        yield f"{reads.format(f'{found:g}')}, and at most {most} are allowed"


def _mismatch(pattern: str, value: str) -> Iterator[str]:
    try:
        if not compiled(pattern).fullmatch(value):
            yield f"{value!r} does not match {pattern}"
    except UnreadablePattern as problem:
        yield str(problem)
