"""A lock file with its holder's process and host, in a folder that processes of several machines may share.

A holder touches its file every BEAT seconds. A lock is stale, and taken over, when its process on this host has ended,
or when another host has not touched it for STALE seconds (its machine or its job is gone).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

BEAT, STALE = 20.0, 300.0


@contextmanager
def taken(file: Path) -> Iterator[str | None]:
    """Hold `file` inside the block: None; or, where somebody else holds it, who does, in words."""
    file.parent.mkdir(parents=True, exist_ok=True)
    holder = _take(file)
    if holder is not None:
        yield holder
        return
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(file, ended), daemon=True)
    beating.start()
    try:
        yield None
    finally:
        ended.set()
        beating.join()
        with suppress(OSError, ValueError):
            if json.loads(file.read_text()) == _me():
                file.unlink()


def _take(file: Path) -> str | None:
    while True:
        with file.open("a+") as held:
            # held for a moment only: of two that find a stale lock, one comes after the other
            fcntl.flock(held, fcntl.LOCK_EX)
            held.seek(0)
            holder = _holder(held.read(), os.fstat(held.fileno()).st_mtime)
            if holder is None:
                held.truncate(0)
                held.write(json.dumps(_me()))
                held.flush()
            with suppress(FileNotFoundError):
                if file.stat().st_ino == os.fstat(held.fileno()).st_ino:
                    return holder
        # its last holder removed it meanwhile: this was no lock any more


def _holder(text: str, touched: float) -> str | None:
    try:
        said = json.loads(text)
        pid, host, began = int(said["pid"]), str(said["host"]), said["began"]
    except (ValueError, KeyError, TypeError):
        return None  # new, or cut off by a crash
    if (host, said.get("numbers")) == (socket.gethostname(), _numbers()):
        alive = began is not None and _began(pid) == began
    else:
        alive = time.time() - touched < STALE
    return f"process {pid} on {host}" if alive else None


def _me() -> dict[str, object]:
    return {"pid": os.getpid(), "host": socket.gethostname(), "numbers": _numbers(), "began": _began(os.getpid())}


def _numbers() -> str | None:
    """Which process numbers are meant: a container may have its own under its host's name."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def _began(pid: int) -> str | None:
    """When a process of this host began, which tells it from a later one of the same number; None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:  # no Linux
            os.kill(pid, 0)
        except OSError:
            return None
        return "running"
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else fields[18]


def _beat(file: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with suppress(OSError):
            os.utime(file)
