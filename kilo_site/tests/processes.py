"""Helpers for tests that start real processes."""

import subprocess
import time

import psutil


def outlives(process: psutil.Process, seconds: float = 5) -> bool:
    """Tell whether a process is still at work after so long.

    One that ended may stay a zombie until whoever inherited it looks: that counts as ended.
    """
    deadline = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > deadline:
            return True
        time.sleep(0.05)
    return False


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """End a process that a failed test left at work."""
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()
