"""What retraining works with: the store, the state, the bucket, SageMaker, and how it is set up."""

from dataclasses import dataclass

from aws_lambda_powertools import Logger

from moderato.clock import Clock
from moderato.store import Store
from moderato.telemetry import Count
from retraining.bucket import Bucket
from retraining.ledger import Ledger
from retraining.service import SageMaker
from retraining.settings import Settings


@dataclass(frozen=True)
class Parts:
    """Everything that retraining is made of; all state is in table and bucket, so many functions may share it."""

    store: Store
    ledger: Ledger
    bucket: Bucket
    """That of the settings."""
    sagemaker: SageMaker
    categories: tuple[str, ...]
    settings: Settings
    logger: Logger
    clock: Clock
    count: Count
