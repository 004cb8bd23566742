"""The predict function on Lambda: assembled from the environment, once a container."""

import os
import random
from pathlib import Path

from moderato.access import require_access
from moderato.dynamodb import DynamoStore
from moderato.dynamodb_late import LateClient
from moderato.dynamodb_schema import CLIENT_SETTINGS, Client
from moderato.policy import default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from moderato.telemetry import make_count, make_logger
from predict.app import DEFAULT_POLICY, create_app

SERVICE = "predict"


def make_client() -> Client:
    """Return a client of DynamoDB; its library is imported here, since most containers never store anything."""
    # botocore without boto3: a tenth less to import, and nothing of boto3 is used but the name of the client.
    import botocore.session  # type: ignore[import-untyped]  # it has no types
    from botocore.config import Config  # type: ignore[import-untyped]  # it has no types

    client: Client = botocore.session.get_session().create_client("dynamodb", config=Config(**CLIENT_SETTINGS))
    return client


model = Path(os.environ["MODEL_DIR"])
scorer = Scorer.load(model)
handler = create_app(
    scorer=scorer,
    card=(model / "card.md").read_text(encoding="utf-8"),
    policies={DEFAULT_POLICY: default_policy(scorer.manifest)},
    store=DynamoStore(LateClient(make_client), os.environ["TABLE"]),
    retention=Retention(
        keep=Keep(os.environ["STORE_DECISIONS"]),
        sampling_probability=float(os.environ["SAMPLING_PROBABILITY"]),
        draw=random.random,
        keep_days=int(os.environ["KEEP_DAYS"]),
    ),
    logger=make_logger(SERVICE),
    count=make_count(SERVICE, os.environ["STACK"]),
    guard=require_access,
)
