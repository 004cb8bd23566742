"""The rules of the house, held over the imports and the first lines of every module."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FUNCTIONS = ROOT / "functions"
MODULES = sorted(FUNCTIONS.rglob("*.py"))
ALL_MODULES = [
    *MODULES,
    *sorted(path for name in ("training", "tests", "bench") for path in (ROOT / name).rglob("*.py")),
]
ROOMS = {"predict", "feedback", "labeling", "authorizer", "rollout", "retraining", "drift"}
ABOVE_MODERATO = {*ROOMS, "local", "training", "bench", "tests"}
RUNTIMES = {"onnxruntime", "tokenizers"}
TRAINING_ONLY = {
    "torch", "transformers", "sagemaker", "accelerate", "onnx", "onnxscript", "optimum", "sklearn", "scipy",
    "matplotlib", "mlflow", "optuna", "ray", "rouge_score", "training",
}  # fmt: skip
AWS_CLIENTS = {"boto3", "botocore", "aiobotocore", "s3transfer"}
THE_WAY_TO_TRAINING = "local/checkout.py"
"""The one module of what is served that imports training, inside its functions: for commands run in a clone."""
THE_WAY_TO_AWS = "local/aws.py"
"""The one module of a laptop that imports an AWS client, inside its functions: for commands on a deployment."""
WITH_DIGESTS = (
    "serve", "build", "test", "scan", "deploy", "emulator", "predict", "light", "images", "sagemaker", "airflow",
)  # fmt: skip
"""The locks whose packages are named with their digests."""
NOT_SERVED = {"torch", "transformers", "sagemaker", "pydantic", "boto3", "huggingface-hub"}


def imported(source: str) -> set[str]:
    """Return the top-level packages that a module imports, wherever in it."""
    packages = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            packages.add(node.module.split(".")[0])
    return packages


def imported_at_once(source: str) -> set[str]:
    """Return the top-level packages that a module imports when it is imported, not only when it is used."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [ast.Pass()]
    return imported(ast.unparse(tree))


def names_imported(source: str) -> set[str]:
    """Return the names that a module imports from others."""
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in nodes for alias in node.names}


def importers_of(packages: set[str]) -> set[str]:
    """Return the modules of what is served that import any of these packages, wherever in them."""
    return {path.relative_to(FUNCTIONS).as_posix() for path in MODULES if imported(path.read_text()) & packages}


def reads_environment(source: str) -> bool:
    """Return whether a module reads the environment; setting a variable for a library's import is not reading."""
    tree = ast.parse(source)
    written = {
        id(target.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript)
    }
    return any(_names_environment(node) and id(node) not in written for node in ast.walk(tree))


def _names_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom) and node.module == "os":
        return any(alias.name in ("environ", "getenv", "environb") for alias in node.names)
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return False
    return node.value.id == "os" and node.attr in ("environ", "getenv", "environb")


def modules_of(*rooms: str) -> Iterator[Path]:
    """Yield the modules under these folders of functions/."""
    return (path for path in MODULES if path.relative_to(FUNCTIONS).parts[0] in rooms)


def test_the_rules_can_see() -> None:
    assert len(MODULES) > 15
    assert imported("def f():\n    import torch.nn\n    from boto3.session import Session") == {"torch", "boto3"}
    assert imported_at_once("import a\ndef f():\n    import b\nif True:\n    from c import d") == {"a", "c"}
    assert reads_environment("import os\nport = os.environ['PORT']")
    assert reads_environment("import os\nport = os.getenv('PORT')")
    assert reads_environment("from os import environ")
    assert not reads_environment("import os\nos.environ['ORT_DISABLE_TELEMETRY'] = '1'\nprint(os.getpid())")


def test_moderato_imports_nobody_above_it() -> None:
    wrong = {
        str(path): found for path in modules_of("moderato") if (found := imported(path.read_text()) & ABOVE_MODERATO)
    }
    assert wrong == {}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_function_imports_no_other_function(room: str) -> None:
    others = ABOVE_MODERATO - {room}
    wrong = {str(path): found for path in modules_of(room) if (found := imported(path.read_text()) & others)}
    assert wrong == {}


def test_only_the_scorer_imports_the_runtime() -> None:
    assert importers_of(RUNTIMES) == {"moderato/scorer.py"}


def test_only_the_authorizer_verifies_tokens() -> None:
    assert importers_of({"jwt", "cryptography"}) == {"authorizer/signing_keys.py", "authorizer/tokens.py"}


@pytest.mark.parametrize("room", ["predict", "feedback"])
def test_what_is_deployed_stands_behind_the_guard(room: str) -> None:
    calls = [
        node for node in ast.walk(ast.parse((FUNCTIONS / room / "main.py").read_text())) if isinstance(node, ast.Call)
    ]
    (made,) = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "create_app"]
    arguments = {argument.arg: ast.unparse(argument.value) for argument in made.keywords}
    assert arguments["guard"] == "require_access"
    assert arguments.get("identify", "caller_of_authorizer") == "caller_of_authorizer"


def test_nothing_that_is_served_imports_what_trains() -> None:
    assert importers_of(TRAINING_ONLY) - {THE_WAY_TO_TRAINING} == set()


def test_the_one_way_to_training_is_taken_by_commands_only_and_leads_to_training_alone() -> None:
    source = (FUNCTIONS / THE_WAY_TO_TRAINING).read_text()
    assert imported(source) & TRAINING_ONLY == {"training"}
    assert imported_at_once(source) & TRAINING_ONLY == set()
    users = {path.name for path in modules_of("local") if "checkout" in names_imported(path.read_text())}
    assert users == {"commands_models.py", "commands_labels.py"}


def test_pages_are_rendered_by_the_console_alone() -> None:
    wrong = {name for name in importers_of({"jinja2", "markupsafe"}) if not name.startswith("feedback/console")}
    assert wrong == set()
    assert importers_of({"jinja2"})


def test_only_main_modules_import_an_aws_client_and_the_laptop_one_only_when_a_command_asks_for_it() -> None:
    assert {name for name in importers_of(AWS_CLIENTS) if not name.endswith("/main.py")} <= {THE_WAY_TO_AWS}
    assert imported_at_once((FUNCTIONS / THE_WAY_TO_AWS).read_text()) & AWS_CLIENTS == set()


def test_only_main_modules_and_the_laptop_read_the_environment() -> None:
    readers = {path.relative_to(FUNCTIONS) for path in MODULES if reads_environment(path.read_text())}
    assert {str(path) for path in readers if path.name != "main.py" and path.parts[0] != "local"} == set()


@pytest.mark.parametrize("path", ALL_MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert docstring.splitlines()[0].rstrip().endswith((".", ":", ";", ","))


def test_the_telemetry_of_the_runtime_is_off_before_its_import() -> None:
    for name in ("local/__init__.py", "moderato/scorer.py"):
        source = (FUNCTIONS / name).read_text()
        switch = source.index('os.environ["ORT_DISABLE_TELEMETRY"] = "1"')
        assert switch < (source.index("import onnxruntime") if "import onnxruntime" in source else len(source))
    assert re.search(r"^export ORT_DISABLE_TELEMETRY := 1$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_served_environment_has_no_training_library_and_no_aws_client() -> None:
    assert set(locked("serve")) & NOT_SERVED == set()


def test_every_locked_package_has_its_digest() -> None:
    for name in WITH_DIGESTS:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        # A package may be there twice, for different versions of Python.
        packages = re.findall(r"^[a-z0-9_.-]+==", text, re.MULTILINE)
        digests = re.findall(r"^[a-z0-9_.-]+==[^\n]*\\\n +--hash=sha256:", text, re.MULTILINE)
        assert len(digests) == len(packages) > 0
        assert "index-url" not in text


def test_the_package_depends_on_the_locked_versions() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = dict(dependency.split("==") for dependency in project["dependencies"])
    assert direct == {name: version for name, version in locked("serve").items() if name in direct}
    assert project["optional-dependencies"] == {"aws": [f"boto3=={locked('test')['boto3']}"]}


def test_ray_is_locked_upon_what_trains() -> None:
    added, base = locked("ray"), locked("train")
    assert "ray" in added
    assert {name: version for name, version in added.items() if name in base} == {
        name: version for name, version in base.items() if name in added
    }


def locked(name: str) -> dict[str, str]:
    """Return the packages of a lock file with their versions."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9_.-]+)==([^\s;]+)", text, re.MULTILINE))
