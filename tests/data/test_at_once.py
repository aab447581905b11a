"""Several processes that want the same data set at the same moment, as torchrun's do when it is used first."""

import multiprocessing
import signal
import time
import zipfile

import pytest

from sparring.data.download import fetch, md5
from sparring.data.imagenet import TINY, TINY_ZIP, unpacked

PROCESSES = 4
FILES = 400


def unpack(root, barrier, answers):
    """What a process finds: how many files there are at the moment at which it takes the folder."""
    barrier.wait()
    try:
        folder = unpacked(root)
        answers.put(sum(1 for file in folder.rglob("*") if file.is_file()))
    except Exception as error:
        answers.put(repr(error))


def download(source, file, checksum, barrier, answers):
    barrier.wait()
    try:
        fetch(source, file, checksum)
        answers.put(md5(file.read_bytes()))
    except Exception as error:
        answers.put(repr(error))


@pytest.fixture(scope="module")
def context():
    """Processes that have imported everything already: they begin at once, and it is paid once."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["tests.data.test_at_once"])
    return found


def together(context, work, *arguments):
    barrier, answers = context.Barrier(PROCESSES), context.Queue()
    processes = [context.Process(target=work, args=(*arguments, barrier, answers)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    found = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    return found


def pack(root):
    with zipfile.ZipFile(root / TINY_ZIP, "w") as archive:
        archive.writestr(f"{TINY}/wnids.txt", "n01\n")
        for i in range(FILES - 1):
            archive.writestr(f"{TINY}/train/n01/images/n01_{i}.JPEG", b"x" * 2000)


def test_all_unpack_the_whole_archive(context, tmp_path):
    pack(tmp_path)
    assert together(context, unpack, tmp_path) == [FILES] * PROCESSES
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [TINY, TINY_ZIP]


def test_all_download_the_whole_file(context, tmp_path):
    content = bytes(range(256)) * (1 << 16)
    (tmp_path / "source").write_bytes(content)
    work = ((tmp_path / "source").as_uri(), tmp_path / "into" / "file", md5(content))
    assert together(context, download, *work) == [md5(content)] * PROCESSES
    assert [entry.name for entry in (tmp_path / "into").iterdir()] == ["file"]


def test_one_that_is_killed_harms_nobody(context, tmp_path):
    pack(tmp_path)
    barrier, answers = context.Barrier(1), context.Queue()
    killed = context.Process(target=unpack, args=(tmp_path, barrier, answers))
    killed.start()
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".*/*/train")) and time.monotonic() < until:
        time.sleep(0.001)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL and not (tmp_path / TINY).exists()
    assert sum(1 for file in unpacked(tmp_path).rglob("*") if file.is_file()) == FILES


def test_another_folder_of_that_name_is_left_alone(tmp_path):
    pack(tmp_path)
    (tmp_path / TINY).mkdir()
    (tmp_path / TINY / "mine.txt").write_text("kept")
    with pytest.raises(ValueError, match=rf"{TINY_ZIP} cannot be unpacked to .*{TINY} .*; remove what is there"):
        unpacked(tmp_path)
    assert [entry.name for entry in (tmp_path / TINY).iterdir()] == ["mine.txt"] and not list(tmp_path.glob(".*"))
