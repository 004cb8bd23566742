"""The command that serves the API on this machine."""

import errno
import ipaddress
import shlex
import signal
import socket
import sys
from contextlib import AbstractContextManager, closing, nullcontext
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from local.keys import TENANT, has_keys, open_keys
from local.models import champions_of
from local.options import DATA, DataDirectory, Model, Refused
from moderato.clock import is_expired, utc_now
from moderato.errors import BrokenModel
from moderato.keys import Keys
from moderato.retention import Keep
from moderato.telemetry import make_logger

if TYPE_CHECKING:
    from local.assembly import Moderato

LOCALHOST = "127.0.0.1"
GREETING = """\
Moderato listens on {url}
  model    {model}
  data     {data}
  console  {url}/console
  try      curl -s {url}/moderate -H 'content-type: application/json' -d '{{"text": "You are wonderful"}}'
Ctrl-C stops it.
"""
PUBLIC_GREETING = """\
Moderato listens on {url}
  model    {model}
  data     {data}
  keys     every request needs one: moderato keys create --name NAME --data-dir {data}
  HTTPS    should stand before it: keys and texts come in clear through the network otherwise
  console  on the machine itself only: moderato serve without --host
  try      curl -s {url}/moderate -H "x-api-key: $KEY" -H 'content-type: application/json' -d '{{"text": "Hello"}}'
Ctrl-C stops it.
"""

Port = Annotated[int, typer.Option(help="Port; 0 takes a free one.", envvar="PORT", min=0, max=65535)]
StoreDecisions = Annotated[Keep, typer.Option(help="Which decisions are stored.", envvar="STORE_DECISIONS")]


def serve(
    port: Port = 8000,
    host: Annotated[
        str, typer.Option(help="Address to listen on; beyond loopback every request needs a key.")
    ] = LOCALHOST,
    model: Model = None,
    data_dir: DataDirectory = DATA,
    store_decisions: StoreDecisions = Keep.FLAGGED,
) -> None:
    """Run the API on this machine until Ctrl-C; without --model it follows the champion of the data folder."""
    signal.signal(signal.SIGTERM, _interrupt)
    keys = None if _is_loopback(host) else _usable_keys(host, data_dir)
    try:
        _serve(host, port, model, data_dir, store_decisions, keys)
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")


def _serve(host: str, port: int, named: Path | None, data_directory: Path, keep: Keep, keys: Keys | None) -> None:
    from local.purging import purge
    from local.server import run
    from local.swap import beside

    logger = make_logger("local")
    moderato, watch = _assemble(named, data_directory, keep, keys)
    purging = beside(partial(purge, moderato.store, logger), "purge")
    with closing(moderato.store), closing(_listen(host, port)) as listener, watch, purging:
        address, taken_port = listener.getsockname()[:2]
        url = f"http://[{address}]:{taken_port}" if ":" in address else f"http://{address}:{taken_port}"
        name = f"{moderato.manifest.name} {moderato.manifest.version}"
        greeting = GREETING if keys is None else PUBLIC_GREETING
        sys.stdout.write(greeting.format(url=url, model=name, data=data_directory.resolve()))
        sys.stdout.flush()
        run(moderato.handler, listener, logger, is_public=keys is not None)


def _assemble(
    named: Path | None, data_directory: Path, keep: Keep, keys: Keys | None
) -> tuple["Moderato", AbstractContextManager[None]]:
    """The API around the named model, or around the champion, whose place is watched then."""
    from local.assembly import assemble
    from local.swap import Watcher, watching

    logger, champions = make_logger("local"), champions_of(data_directory)
    try:
        if named is not None:
            return assemble(named, data_directory, keep, logger, keys), nullcontext()
        # Read first: a change while the model loads is seen at the first look.
        pointer = champions.pointer()
        moderato = assemble(champions.current(), data_directory, keep, logger, keys)
    except BrokenModel as error:
        raise Refused(_advised(str(error), "" if named or not champions.is_set else champions.advice())) from None
    return moderato, watching(Watcher(champions, pointer, moderato.load, moderato.handler, logger))


def _advised(error: str, advice: str) -> str:
    return f"{error}; {advice}" if advice and advice not in error else error


def _listen(host: str, port: int) -> socket.socket:
    from local.server import listen

    try:
        return listen(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Refused(
                f"port {port} of {host} is taken by another program; choose another by --port or PORT"
            ) from None
        raise Refused(f"cannot listen on port {port} of {host}: {error.strerror}") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(LOCALHOST if host == "localhost" else host).is_loopback
    except ValueError:
        raise Refused(f"--host takes an address of this machine, and '{host}' is none (0.0.0.0: all it has)") from None


def _usable_keys(host: str, data_directory: Path) -> Keys:
    """The keys of a data folder. Raises Refused where none of them lets anybody in."""
    if has_keys(data_directory):
        keys, now = open_keys(data_directory), utc_now()
        if any(key.tenant == TENANT and not is_expired(key.expires, now) for key in keys.list()):
            return keys
    command = f"moderato keys create --name NAME --data-dir {shlex.quote(str(data_directory))}"
    raise Refused(
        f"{host} is not a loopback address: every request there needs a key, and there is none; make one by `{command}`"
    )


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
