"""An Airflow of these tests' own: its home, its database and its DAGs, in a folder that goes when they end."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

DAGS = Path(__file__).parents[2] / "deploy" / "airflow"

home = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Say where Airflow is at home before anybody imports it: it reads its settings then, and makes its files."""
    folder = config.stash[home] = Path(tempfile.mkdtemp(prefix="airflow-"))
    for name in [name for name in os.environ if name.startswith("AIRFLOW")]:
        del os.environ[name]
    os.environ |= {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    shutil.rmtree(config.stash[home], ignore_errors=True)
