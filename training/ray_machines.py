"""The machines of a Ray cluster: what they have to give, how workers share it, and whether they are of use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import moderato
from training.config import RecipeError

CODE = (str(Path(moderato.__file__).parents[1]), str(Path(__file__).parents[1]))
"""Where this code is; a cluster that exists has it under the same paths."""


@dataclass(frozen=True)
class Share:
    """What one worker has of its machine."""

    cores: int
    gpus: int


def room() -> int:
    """How many workers the cluster has room for by itself: one for each GPU, or for each machine without any."""
    machines = _machines()
    return _gpus(machines) or len(machines)


def share(workers: int) -> Share:
    """What each of so many workers can have of the cluster. Raises RecipeError when it is too little."""
    return split(_machines(), workers)


def split(machines: Sequence[Mapping[str, float]], workers: int) -> Share:
    """Share machines out, each with its `CPU` and `GPU`: as many cores a worker as fit, and a GPU where there are any.

    Raises RecipeError when there are more workers than GPUs, or than cores.
    """
    gpus = _gpus(machines)
    cores = [int(machine.get("CPU", 0)) for machine in machines]
    for each in range(max(cores, default=0), 0, -1):
        if sum(_room(machine, each, bool(gpus)) for machine in machines) >= workers:
            return Share(each, 1 if gpus else 0)
    fit = sum(_room(machine, 1, bool(gpus)) for machine in machines)
    need = "a GPU and a core" if gpus else "a core"
    if fit == 0:
        raise RecipeError(f"a worker needs {need} of one machine, and the cluster has no machine with that to give")
    raise RecipeError(f"{workers} workers need {need} each, and the cluster has room for {fit}; give --workers {fit}")


def require_shared(folder: Path) -> None:
    """Check that every machine of the cluster has this code, and sees the folder.

    Raises RecipeError that names one that does not.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    sees = ray.remote(num_cpus=0)(_sees)
    for node in ray.nodes():
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        name = node["NodeManagerHostname"]
        try:
            is_seen = not node["Alive"] or ray.get(sees.options(scheduling_strategy=there).remote(str(folder)))
        except ray.exceptions.RayTaskError as error:
            raise RecipeError(
                f"{name} cannot import this code; every machine of the cluster needs it and its environment under the "
                f"same path as here, {' and '.join(CODE)}: {str(error).splitlines()[-1].strip()}"
            ) from None
        if not is_seen:
            raise RecipeError(
                f"{name} does not see {folder}; name an --output on storage that all machines of the cluster share"
            )


def _sees(folder: str) -> bool:
    return Path(folder).is_dir()


def _machines() -> list[dict[str, float]]:
    import ray

    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _gpus(machines: Sequence[Mapping[str, float]]) -> int:
    return int(sum(machine.get("GPU", 0) for machine in machines))


def _room(machine: Mapping[str, float], cores: int, with_gpu: bool) -> int:
    """How many workers of so many cores fit on a machine."""
    fit = int(machine.get("CPU", 0)) // cores
    return min(fit, int(machine.get("GPU", 0))) if with_gpu else fit
