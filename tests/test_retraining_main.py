"""The retraining function as Lambda starts it: from its environment alone."""

import pytest

from tests.conftest import STARTER
from tests.function_processes import start

ENVIRONMENT = {
    "MODEL_DIR": str(STARTER),
    "TABLE": "moderato",
    "BUCKET": "a-bucket",
    "PIPELINE": "moderato-dev",
    "MODEL_GROUP": "moderato-dev-models",
    "FEWEST_LABELS": "200",
}


def test_the_function_starts_without_the_models_runtime_and_calls_nobody_for_nothing() -> None:
    result = start("retraining", ENVIRONMENT, {}, {"detail-type": "SageMaker Model Package State Change"})
    assert result == {"answers": [{}, {}], "loaded": []}


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_what_is_missing_from_the_environment_is_named_at_the_start(name: str) -> None:
    environment = {other: value for other, value in ENVIRONMENT.items() if other != name}
    assert f"KeyError: '{name}'" in start("retraining", environment)


@pytest.mark.parametrize(("fewest", "told"), [("none", "'none'"), ("0", "at least one new label"), ("", "''")])
def test_a_number_of_labels_that_is_none_stops_the_start(fewest: str, told: str) -> None:
    said = start("retraining", ENVIRONMENT | {"FEWEST_LABELS": fewest})
    assert "ValueError" in said
    assert told in said
