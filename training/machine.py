"""What a host brings to a job: its GPUs, its network, the hosts and the model hub that it can reach."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping

from training.config import Recipe
from training.container import Hosts, JobError

HOSTS_SECONDS = 300
"""How long hosts may take to know one another: SageMaker starts them apart."""

HUB_SECONDS = 20


def count_processes(environment: Mapping[str, str]) -> int:
    """Return how many processes train here: PROCESSES_PER_HOST, or one for each GPU, or one."""
    asked = environment.get("PROCESSES_PER_HOST")
    if asked is None:
        return max(1, _count_gpus(environment))
    if not asked.isdecimal() or int(asked) < 1:
        raise JobError(f"PROCESSES_PER_HOST is {asked!r}; it is a whole number from 1")
    return int(asked)


def connect(hosts: Hosts, environment: Mapping[str, str], is_stopping: Callable[[], bool]) -> dict[str, str]:
    """Wait until every host's name is known here, and return the variables that choose the network between them.

    Raises JobError when a name stays unknown for HOSTS_SECONDS, or the network interface is not there. Nobody is waited
    for any more when the job is to stop.
    """
    if len(hosts.names) == 1:
        return {}
    _wait_for_names(hosts, float(environment.get("HOSTS_SECONDS", HOSTS_SECONDS)), is_stopping)
    if hosts.interface is None:
        return {}
    known = [name for _, name in socket.if_nameindex()]
    if hosts.interface not in known:
        raise JobError(
            f"resourceconfig.json names the network interface {hosts.interface!r}, and this host has {', '.join(known)}"
        )
    return {name: environment.get(name, hosts.interface) for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME")}


def check_hub(recipe: Recipe) -> None:
    """Look an encoder up that only a hub has. Raises JobError when it cannot be had from here."""
    import httpx2
    from huggingface_hub import HfApi, constants, hf_hub_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    name = recipe.encoder.name
    told = f"the recipe's encoder {name!r} is fetched from {constants.ENDPOINT}"
    instead = "hand it over as the channel 'encoder'"
    try:
        hf_hub_download(name, "config.json", local_files_only=True)
    except LocalEntryNotFoundError:
        try:
            HfApi().model_info(name, timeout=HUB_SECONDS)
        except (RepositoryNotFoundError, GatedRepoError) as error:
            raise JobError(f"{told}, which has none of that name for us ({type(error).__name__}); {instead}") from None
        except (httpx2.HTTPError, OSError) as error:
            raise JobError(
                f"{told}, which cannot be reached from here ({type(error).__name__}); let it be reached, or {instead}"
            ) from None


def _count_gpus(environment: Mapping[str, str]) -> int:
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([number for number in visible.split(",") if number.strip()])
    # Not by torch, which would take a share of their memory as long as this process lives.
    found = shutil.which("nvidia-smi")
    if found is None:
        return 0
    listed = subprocess.run([found, "-L"], capture_output=True, text=True, check=False).stdout
    return sum(line.startswith("GPU ") for line in listed.splitlines())


def _wait_for_names(hosts: Hosts, seconds: float, is_stopping: Callable[[], bool]) -> None:
    end, told = time.monotonic() + seconds, False
    while (unknown := [name for name in hosts.names if not _is_known(name)]) and not is_stopping():
        if time.monotonic() > end:
            raise JobError(
                f"resourceconfig.json names hosts that this one does not know: {', '.join(unknown)}; "
                "all hosts of a job must be in one network and resolve one another's names"
            )
        if not told:
            print(f"waiting for {', '.join(unknown)}", flush=True)
            told = True
        time.sleep(1)


def _is_known(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))
