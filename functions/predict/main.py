"""The predict function on Lambda: assembled from the environment, once a container."""

import os
import random
from pathlib import Path

from moderato.policy import default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from moderato.sqlite import SqliteStore
from moderato.telemetry import make_count, make_logger
from predict.app import DEFAULT_POLICY, create_app

SERVICE = "predict"

model = Path(os.environ["MODEL_DIR"])
scorer = Scorer.load(model)
handler = create_app(
    scorer=scorer,
    card=(model / "card.md").read_text(encoding="utf-8"),
    policies={DEFAULT_POLICY: default_policy(scorer.manifest)},
    store=SqliteStore(Path(os.environ["DATABASE"])),
    retention=Retention(
        keep=Keep(os.environ["STORE_DECISIONS"]),
        sampling_probability=float(os.environ["SAMPLING_PROBABILITY"]),
        draw=random.random,
        keep_days=int(os.environ["KEEP_DAYS"]),
    ),
    logger=make_logger(SERVICE),
    count=make_count(SERVICE),
)
