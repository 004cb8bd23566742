"""The predict image outside of Lambda, assembled from the environment: what `docker run IMAGE serve` starts.

ML_ROOT                       /opt/ml; SageMaker unpacks a model's archive in its folder `model`
MODEL_DIR                     the model that is built in, for where none is there
SAGEMAKER_BIND_TO_PORT        8080
SAGEMAKER_BATCH               "true" in a Batch Transform job
SAGEMAKER_MAX_PAYLOAD_IN_MB   what one request of such a job may have
"""

import os
import random
import signal
import socket
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import NoReturn

from moderato.clock import utc_now
from moderato.errors import BrokenModel
from moderato.judge import Judge
from moderato.policy import default_policy
from moderato.retention import Keep, Retention
from moderato.scorer import Scorer
from moderato.telemetry import make_logger
from predict.app import DEFAULT_POLICY
from predict.hosting.app import Application
from predict.hosting.cpus import usable_cpus
from predict.hosting.invocations import MAX_LINES_BYTES, Invocations
from predict.hosting.server import create_server, listen
from predict.hosting.turns import MAX_WAITING_SECONDS, Turns

SERVICE = "predict"
MAX_PAYLOAD_MEGABYTES = 100
"""The most that Batch Transform sends at once."""


class Unusable(Exception):
    """The server cannot start as it was asked to; the message is one sentence for who started it."""


def main() -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit status."""
    # As the first process of a container, Python would not end by itself: the kernel has no default for that one.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    try:
        serve(os.environ)
    except (Unusable, BrokenModel) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def serve(environment: Mapping[str, str]) -> None:
    """Load and verify the model, and answer until told to stop. Raises Unusable or BrokenModel."""
    port = _number(environment, "SAGEMAKER_BIND_TO_PORT", 8080, 65_535)
    is_batch = environment.get("SAGEMAKER_BATCH") == "true"
    max_lines_bytes = _max_lines_bytes(environment)
    model = model_directory(Path(environment.get("ML_ROOT", "/opt/ml")) / "model", environment.get("MODEL_DIR"))
    logger, cpus = make_logger(SERVICE), usable_cpus()
    scorer = Scorer.load(model)
    judge = Judge(scorer, Retention(Keep.NONE, 0.0, random.random), utc_now)
    policies = {DEFAULT_POLICY: default_policy(scorer.manifest)}
    with _listen(port) as listener, ThreadPoolExecutor(cpus, thread_name_prefix="score") as executor:
        application = Application(
            invocations=Invocations(judge, policies, logger, max_lines_bytes),
            # A job asks no faster than it is answered, and has minutes for each request.
            turns=Turns(cpus, max_lines_bytes, None if is_batch else MAX_WAITING_SECONDS),
            executor=executor,
            cpus=cpus,
            logger=logger,
        )
        name = {"model": scorer.manifest.name, "version": scorer.manifest.version}
        logger.info("listening", extra={"port": listener.getsockname()[1], "cpus": cpus, **name})
        create_server(application).run(sockets=[listener])


def model_directory(given: Path, built_in: str | None) -> Path:
    """Return the model that was given, or the built-in one where none was. Raises Unusable where there is no model."""
    try:
        if (given / "manifest.json").is_file():
            return given
        is_empty = not given.exists() or not any(files for _, _, files in os.walk(given, onerror=_raise))
    except OSError as error:
        raise Unusable(f"{given} cannot be read: {error.strerror}") from None
    if is_empty:
        if not built_in:
            raise Unusable(f"no model is in {given}, and MODEL_DIR names none: set it to a model directory")
        return Path(built_in)
    # The built-in model would answer in its place, and nobody would know.
    raise Unusable(
        f"{given} holds files but no manifest.json: the archive must have a model directory's files at its top "
        "(tar -czf model.tar.gz -C MODEL .)"
    )


def _raise(error: OSError) -> NoReturn:
    # A folder that cannot be read is none that is empty.
    raise error


def _listen(port: int) -> socket.socket:
    try:
        return listen(port)
    except OSError as error:
        raise Unusable(
            f"cannot listen on port {port}, as SAGEMAKER_BIND_TO_PORT says: {os.strerror(error.errno or 0)}"
        ) from None


def _max_lines_bytes(environment: Mapping[str, str]) -> int:
    megabytes = _number(environment, "SAGEMAKER_MAX_PAYLOAD_IN_MB", 0, MAX_PAYLOAD_MEGABYTES)
    return megabytes * 1024 * 1024 or MAX_LINES_BYTES


def _number(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = environment.get(name, str(default))
    if not text.isdecimal() or int(text) > most:
        raise Unusable(f"{name} must be a whole number from 0 to {most}")
    return int(text)


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    # While the model loads; and once more when the server, which has its own handler, has answered what was under way.
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
