"""One training per run folder: a lock that the kernel lets go of however the process ends."""

import contextlib
import fcntl
import os
import pathlib
import socket
from collections.abc import Iterator

from awr_mjx.train.console.errors import UserError, warn


@contextlib.contextmanager
def held(run: pathlib.Path) -> Iterator[None]:
    """Holds the folder `run` for training; whoever only reads needs no lock.

    The file `.lock` says who holds it. A lock of `flock` is the kernel's, so a file that a killed process has left
    behind is in nobody's way. A file system without such locks gets a warning.

    Raises:
      UserError: if another process trains in `run`, here or on another host, or if `run` cannot be written to.
    """
    try:
        file = (run / ".lock").open("ab+", buffering=0)
    except OSError as error:
        raise UserError(f"cannot write in {run}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().decode(errors="replace").strip() or "another process"
            raise UserError(f"{run} is being trained by {holder}: let it end, or stop it") from None
        except OSError as error:
            warn([f"the file system of {run} has no locks ({error.strerror}): let no other process train there"])
        with contextlib.suppress(OSError):  # a full disk; what counts is the lock
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
