"""Runs a child process to its end and says what it took."""

import ctypes
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

LOG_TAIL_LINES = 30
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Taken:
    """What one run of a process took. `peak_mb` is its largest resident set, as the kernel counts it."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


class Failed(Exception):
    """A child ended with a failure; the text holds the end of what it logged."""


def measure(command, log, **options):
    """Runs a command to its end, with its output in the file `log`; raises `Failed` unless it exits with 0.

    What earlier steps left for the disk is written first, so that no step pays for another.
    """
    os.sync()
    with open(log, "wb") as output:
        started = time.monotonic()
        options.setdefault("stdin", subprocess.DEVNULL)
        child = spawn(command, stdout=output, stderr=subprocess.STDOUT, **options)
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            child.wait()
            raise
        seconds = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)  # waited for: Popen must not try again
    if child.returncode != 0:
        raise Failed(f"{command[0]} ended with {child.returncode}:\n{tail(log)}")
    return Taken(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def spawn(command, death_signal=signal.SIGTERM, **options):
    """Starts a child that the kernel signals when this process dies, however it dies."""
    return subprocess.Popen(command, preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, death_signal), **options)


def tail(log):
    """The last lines of a log."""
    return "\n".join(Path(log).read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:])
