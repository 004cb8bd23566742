"""The feedback function on Lambda: assembled from the environment, once a container."""

import os
from pathlib import Path

from feedback.app import create_app
from feedback.console import Console
from moderato.artifact import load_manifest
from moderato.sqlite import SqliteStore
from moderato.telemetry import make_count, make_logger

SERVICE = "feedback"

handler = create_app(
    store=SqliteStore(Path(os.environ["DATABASE"])),
    categories=load_manifest(Path(os.environ["MODEL_DIR"])).category_names,
    logger=make_logger(SERVICE),
    count=make_count(SERVICE),
    console=Console(),
    keep_days=int(os.environ["KEEP_DAYS"]),
)
