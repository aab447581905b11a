"""Files from the internet, only when asked for: checked, and complete or absent."""

from __future__ import annotations

import hashlib
import shutil
import time
import urllib.request
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparring.data.decode import Progress
from sparring.lock import taken

CHUNK = 1 << 20
LOOK = 0.5
"""Seconds between two looks at what another process holds."""


def md5(content: bytes) -> str:
    """Checksum as the publishers of the data sets give it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@contextmanager
def alone(place: Path) -> Iterator[Path]:
    """One process at a time, of all machines that share the folder, makes `place`; the others wait, and a warning says so.

    Gives a name beside `place`, of no file yet, for what is not whole yet. What lies there at the end is removed, and so
    is what processes left that were killed. Look once more whether `place` is there: another process may have made it.
    """
    said = False
    while True:
        with taken(place.with_name(f".{place.name}.lock")) as holder:
            if holder is None:
                for left in place.parent.glob(f".{place.name}.*.part"):
                    _remove(left)
                part = place.with_name(f".{place.name}.{uuid.uuid4().hex}.part")
                try:
                    yield part
                finally:
                    _remove(part)
                return
        if not said:
            warnings.warn(f"{holder} downloads or unpacks {place}: waiting for it", stacklevel=3)
            said = True
        time.sleep(LOOK)


def _remove(part: Path) -> None:
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def fetch(url: str, file: Path, checksum: str, progress: Progress | None = None) -> None:
    """Downloads `url` to `file`, which appears only when it is whole and its MD5 is `checksum`, and of several
    processes at once one downloads it.

    `progress` is called with (bytes done, bytes in all; 0 if the server does not say). OSError when the download fails,
    ValueError when the checksum differs.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with alone(file) as part:
        if file.is_file() and md5(file.read_bytes()) == checksum:
            return
        digest, done = hashlib.md5(usedforsecurity=False), 0
        with urllib.request.urlopen(url, timeout=60) as answer, part.open("wb") as out:
            total = int(answer.headers.get("Content-Length") or 0)
            while block := answer.read(CHUNK):
                out.write(block)
                digest.update(block)
                done += len(block)
                if progress:
                    progress(done, total)
        if digest.hexdigest() != checksum:
            raise ValueError(f"{url} gave a file with MD5 {digest.hexdigest()} instead of {checksum}; nothing was kept")
        part.replace(file)
