"""Several processes that want the same data set at the same moment, as torchrun's do when it is used first."""

import json
import multiprocessing
import os
import signal
import socket
import time
import warnings
import zipfile
from pathlib import Path

import pytest
from torchvision import datasets

from sparring import lock
from sparring.data import download as at_work
from sparring.data.download import fetch, md5
from sparring.data.imagenet import TINY, TINY_ZIP, unpacked
from sparring.data.official import splits
from sparring.data.transfer import missing
from sparring.measuring import TransferConfig
from tests.data import layouts

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


def download_slowly(source, file, checksum, go_on):
    fetch(source, file, checksum, lambda done, total: soon(go_on.exists))


def through_torchvision(root, go_on, answers):
    """What a process finds, and what it said, with a torchvision that stops in the middle of its files."""

    def dtd(place, download):
        with (root.parent / "downloads").open("a") as log:
            log.write("begun\n")
        base = layouts.dtd(Path(place))
        labels = base / "labels"
        labels.rename(base / "not yet")
        soon(go_on.exists)
        (base / "not yet").rename(labels)

    datasets.DTD = dtd  # pyright: ignore[reportAttributeAccessIssue]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = splits("dtd", root, seed=0, download=True).sizes
        except Exception as error:
            found = repr(error)
    answers.put((" ".join(str(warning.message) for warning in told if "waiting" in str(warning.message)), found))


def soon(happened):
    until = time.monotonic() + 60
    while not happened() and time.monotonic() < until:
        time.sleep(0.001)
    assert happened()


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
    soon(lambda: list(tmp_path.glob(".*/*/train")))
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL and not (tmp_path / TINY).exists() and len(list(tmp_path.glob(".*"))) == 2
    assert sum(1 for file in unpacked(tmp_path).rglob("*") if file.is_file()) == FILES
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [TINY, TINY_ZIP]


def test_a_killed_download_leaves_nothing_to_the_next_and_a_living_one_is_waited_for(context, tmp_path):
    content, source, file = b"x" * 5000, tmp_path / "source", tmp_path / "into" / "file"
    source.write_bytes(content)
    barrier, answers, go_on = context.Barrier(1), context.Queue(), tmp_path / "go on"
    work = (source.as_uri(), file, md5(content))

    def begun():
        process = context.Process(target=download_slowly, args=(*work, go_on))
        process.start()
        return process

    killed = begun()
    soon(lambda: list(tmp_path.glob("into/.file.*.part")))
    [left] = tmp_path.glob("into/.file.*.part")
    killed.kill()
    killed.join()
    living = begun()
    soon(lambda: not left.exists() and list(tmp_path.glob("into/.file.*.part")))
    [part] = tmp_path.glob("into/.file.*.part")
    waiting = context.Process(target=download, args=(*work, barrier, answers))
    waiting.start()
    time.sleep(1)
    assert part.exists() and answers.empty()
    source.rename(tmp_path / "elsewhere")  # nobody has to download it again
    go_on.touch()
    assert answers.get(timeout=60) == md5(content)
    for process in (living, waiting):
        process.join()
    assert [entry.name for entry in file.parent.iterdir()] == ["file"]


def test_of_two_processes_one_downloads_through_torchvision_and_the_other_finds_the_files(context, tmp_path):
    root, go_on, answers = tmp_path / "dtd", tmp_path / "go on", context.Queue()
    processes = [context.Process(target=through_torchvision, args=(root, go_on, answers)) for _ in range(3)]
    killed, first, second = processes
    killed.start()
    soon(lambda: list(root.glob(".dtd.*.part/dtd/dtd/not yet")))
    killed.kill()
    killed.join()
    [left] = root.glob(".dtd.*.part")
    nothing = TransferConfig(["dtd"], str(tmp_path))
    assert "dtd is not in" in str(missing("dtd", nothing))
    first.start()
    soon(lambda: not left.exists() and list(root.glob(".dtd.*.part/dtd/dtd/not yet")))
    second.start()
    time.sleep(1)
    with pytest.raises(ValueError, match="dtd is not in"):  # no half of it is ever seen
        splits("dtd", root, seed=0)
    assert answers.empty()
    go_on.touch()
    told, found = zip(*sorted(answers.get(timeout=60) for _ in (first, second)), strict=True)
    assert found == ((2, 2, 2), (2, 2, 2)) and told[0] == ""
    assert (
        told[1] == f"process {first.pid} on {socket.gethostname()} downloads or unpacks {root / 'dtd'}: waiting for it"
    )
    for process in (first, second):
        process.join()
    assert (tmp_path / "downloads").read_text() == "begun\n" * 2
    assert [entry.name for entry in root.iterdir()] == ["dtd"] and missing("dtd", nothing) is None


def test_what_a_process_of_another_machine_unpacks_is_left_alone_until_it_is_long_silent(tmp_path, monkeypatch):
    pack(tmp_path)
    held, theirs, looks = tmp_path / f".{TINY}.lock", tmp_path / f".{TINY}.abc.part" / TINY, []
    held.write_text(json.dumps({"pid": 1, "host": "elsewhere", "began": "5"}))
    theirs.mkdir(parents=True)

    def later(seconds):
        assert theirs.is_dir() and not (tmp_path / TINY).exists()
        looks.append(seconds)
        if len(looks) == 3:
            os.utime(held, (time.time() - lock.STALE - 1,) * 2)

    monkeypatch.setattr(at_work.time, "sleep", later)
    with pytest.warns(UserWarning, match=rf"process 1 on elsewhere downloads or unpacks .*{TINY}: waiting") as told:
        unpacked(tmp_path)
    assert len(looks) == 3 and len(told) == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [TINY, TINY_ZIP]


def test_another_folder_of_that_name_is_left_alone(tmp_path):
    pack(tmp_path)
    (tmp_path / TINY).mkdir()
    (tmp_path / TINY / "mine.txt").write_text("kept")
    with pytest.raises(ValueError, match=rf"{TINY_ZIP} cannot be unpacked to .*{TINY} .*; remove what is there"):
        unpacked(tmp_path)
    assert [entry.name for entry in (tmp_path / TINY).iterdir()] == ["mine.txt"] and not list(tmp_path.glob(".*"))
