"""Deploys the built template to an emulated AWS and runs the tests of a deployed stack against it.

    python -m tests.emulator [--keep] [what pytest takes ...]

`sam build` has run (`make build`), Docker's engine runs, and EMULATOR_PYTHON is a Python that has MiniStack. Where no
engine answers it says so, tests nothing and ends well. With `--keep` nothing is tested: the stack stays until Ctrl-C.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.emulator.ministack import REGION, running
from tests.emulator.stack import STACK, WHOLE_STACK, NotDeployed, deploy
from tests.images.containers import engine_answers

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / ".aws-sam" / "build" / "template.yaml"
LOG = ROOT / "build" / "ministack.log"
TESTS = ("tests/live", "tests/emulator")

PARAMETERS = {
    # Every decision is stored, so that each can be looked up.
    "StoreDecisions": "all",
    "Rollout": "AllAtOnce",
    "LogRetentionDays": "1",
}
WHOLE = {
    "LabelingWorkteamArn": f"arn:aws:sagemaker:{REGION}:000000000000:workteam/private-crowd/annotators",
    "Retraining": "true",
}


def main(arguments: list[str]) -> int:
    """Deploy and test; return the exit status."""
    if not engine_answers():
        print("not emulated: no Docker engine answers, and the functions are containers", file=sys.stderr)
        return 0
    if not TEMPLATE.exists():
        print("not emulated: `make build` has to make the images first", file=sys.stderr)
        return 1
    LOG.parent.mkdir(exist_ok=True)
    # A test run that is told to end still removes its containers and its network.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with running(os.environ["EMULATOR_PYTHON"], LOG) as ministack:
        try:
            deploy(ministack, STACK, TEMPLATE, PARAMETERS)
            deploy(ministack, WHOLE_STACK, TEMPLATE, {**PARAMETERS, **WHOLE})
        except NotDeployed as error:
            print(f"MiniStack did not take the template: {error}", file=sys.stderr)
            return 1
        environment = {**os.environ, **ministack.environment, "MODERATO_STACK": STACK}
        if "--keep" in arguments:
            return _keep(environment)
        command = [sys.executable, "-m", "pytest", *(arguments or TESTS)]
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _keep(environment: Mapping[str, str]) -> int:
    told = [name for name in sorted(environment) if name.startswith(("AWS_", "MODERATO_"))]
    print("\n".join(f"export {name}={environment[name]}" for name in told), flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
