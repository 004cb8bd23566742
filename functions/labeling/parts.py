"""What labeling works with: the store, the objects, SageMaker, and how it is set up."""

from dataclasses import dataclass

from aws_lambda_powertools import Logger

from labeling.service import SageMaker
from labeling.settings import Settings
from moderato.clock import Clock
from moderato.objects import ObjectStore
from moderato.store import Store
from moderato.telemetry import Count


@dataclass(frozen=True)
class Parts:
    """Everything that labeling is made of; all state is in the store, so any number of functions may share it."""

    store: Store
    objects: ObjectStore
    """Those of the bucket that `settings` name."""
    sagemaker: SageMaker
    categories: tuple[str, ...]
    settings: Settings
    logger: Logger
    clock: Clock
    count: Count
