"""Files from the internet, only when asked for: checked, and complete or absent."""

from __future__ import annotations

import hashlib
import urllib.request
import uuid
from pathlib import Path

from sparring.data.decode import Progress

CHUNK = 1 << 20


def md5(content: bytes) -> str:
    """Checksum as the publishers of the data sets give it."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def own_part(path: Path) -> Path:
    """A name beside `path` for what is not whole yet, that no other process has: on a shared file system neither."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")


def fetch(url: str, file: Path, checksum: str, progress: Progress | None = None) -> None:
    """Downloads `url` to `file`, which appears only when it is whole and its MD5 is `checksum`, also if several do so at once.

    `progress` is called with (bytes done, bytes in all; 0 if the server does not say). OSError when the download fails,
    ValueError when the checksum differs.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    part = own_part(file)
    digest, done = hashlib.md5(usedforsecurity=False), 0
    try:
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
    finally:
        part.unlink(missing_ok=True)
