"""The images that `make images` built; without an engine, or before they are built, these tests are skipped."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.images.containers import STORE_NOTHING, Function, engine_answers

BUILT = Path(__file__).parents[2] / ".aws-sam" / "build" / "template.yaml"
HUNGRY = Path(__file__).with_name("hungry.py")


@pytest.fixture(scope="session")
def images() -> dict[str, str]:
    """The image of each function, by its logical id in template.yaml."""
    if not engine_answers():
        pytest.skip("no container engine runs here")
    if not BUILT.exists():
        pytest.skip("no images are built here: make images builds them and runs this")
    resources = yaml.safe_load(BUILT.read_text())["Resources"]
    properties = {name: resource.get("Properties", {}) for name, resource in resources.items()}
    return {name: given["ImageUri"] for name, given in properties.items() if "ImageUri" in given}


@pytest.fixture(scope="session")
def predict(images: dict[str, str]) -> str:
    """The image of the predict function."""
    return images["PredictFunction"]


@pytest.fixture(scope="session")
def light(images: dict[str, str]) -> str:
    """The image of the feedback function, and of all others but predict."""
    return images["FeedbackFunction"]


@pytest.fixture(scope="session")
def predict_function(predict: str) -> Iterator[Function]:
    """The predict function, running; it stores nothing."""
    with Function(predict, "predict.main.handler", STORE_NOTHING) as function:
        yield function


@pytest.fixture
def hungry(predict: str) -> Callable[[int], Function]:
    """Starts the predict function so that it eats all memory or all time when asked to; it is given these seconds."""
    HUNGRY.chmod(0o644)

    def start(timeout_seconds: int) -> Function:
        settings = STORE_NOTHING | {"AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout_seconds)}
        return Function(predict, "hungry.handler", settings, {HUNGRY: "/var/task/hungry.py"})

    return start
