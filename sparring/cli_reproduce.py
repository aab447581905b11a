"""The verb `sparring reproduce`: a table or figure of a paper, trained, measured, printed beside the paper's figures."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.config import TrainingConfig
from sparring.configuration import build, fields, nearest
from sparring.flags import WIDTH, Positional, Words, read_words

if TYPE_CHECKING:
    from sparring.recipes.grid import Failure
    from sparring.recipes.tasks import CellTask

REPRODUCE = """\
usage: sparring reproduce NAME [NAME ...] [--budget full|short|smoke] [--rows NAMES] [--seeds NUMBERS] [...]
       sparring reproduce list
       sparring reproduce --all --budget smoke

Train and measure every row of a paper's table, print its figures beside ours, and judge the paper's claims. One JSON a row
and seed goes to --out; what is finished there is not run again, and an interrupted row continues. What fails, or has no
images, is listed at the end (exit code 1); the others go on.

  NAME               such as ascl.table2; `list` names all
  --all              every recipe; all results of --out then stand in OUT/leaderboard.html
  --budget BUDGET    full (the paper's size), short or smoke; every figure says which [full]
  --rows NAMES       only these rows, separated by semicolons
  --seeds NUMBERS    seeds separated by commas [0 to the recipe's number]
  --data NAME        other images than the paper's: cifar10, folder, digits, ... (smoke: digits)
  --root FOLDER      where they are (a folder with train/<class>/ and test/<class>/ for --data folder)
  --data-label TEXT  what they are called beside every figure [the folder's name]
  --download         fetch the paper's data set if it is not there
  --transfer-root FOLDER   where the data sets of a transfer are: cars/, pets/, ... [~/.cache/sparring]
  --weights ROWS     weights of rows that train nothing: "SimCLR=FILE; SwAV=FILE, linear=FILE; Supervised=torchvision:NAME.TAG"
  --corrupted FOLDER an official ImageNet-C, CIFAR-10-C or CIFAR-100-C [corruptions are made here]
  --out FOLDER       where results go [results]
  --runs FOLDER      where trained runs are kept [runs/recipes]
  --precision bf16, --compile, --channels-last
                     as `sparring train` takes them: faster on a GPU, and rounded otherwise, which every figure says
  --workers N        worker processes [one a GPU, or one for every four CPU cores]
  --ray ADDRESS      on a Ray cluster instead: its address, auto, or local for one that lives as long as the command
  --summary          train and measure nothing: print and write the tables of what is there
  --debug            show where an error happened
"""

OPTIONS = {
    "all": False,
    "budget": True,
    "rows": True,
    "seeds": True,
    "data": True,
    "root": True,
    "data-label": True,
    "download": False,
    "transfer-root": True,
    "weights": True,
    "corrupted": True,
    "out": True,
    "runs": True,
    "workers": True,
    "ray": True,
    "summary": False,
    "debug": False,
    "help": False,
}


COMPUTED = ("training.precision", "training.compile", "training.channels_last")
"""Settings that keep the paper's method: of `sparring train`, by all the names that they have there."""
CONTINUES = "interrupted; what is done is kept, and the same command continues"


def reproduce(words: list[str]) -> int:
    """Run the verb on its words and return the exit code."""
    read = read_words(words, OPTIONS, {key: fields()[key] for key in COMPUTED}, Positional("NAME", _may_be_a_recipe))
    if "help" in read.options:
        print(REPRODUCE, end="")
        return 0
    from sparring.recipes import reproduce as recipes
    from sparring.recipes.budgets import BUDGETS
    from sparring.recipes.given import bring, on_official_files
    from sparring.recipes.place import place_of
    from sparring.recipes.result_files import check_any
    from sparring.reporting.page import check_folder

    if "list" in read.positional and len(read.positional) > 1:
        raise ValueError(f"reproduce list takes no names, not {', '.join(set(read.positional) - {'list'})}")
    if read.positional == ["list"]:
        for name, title in recipes.listed():
            print(f"  {name:24} {title}"[:WIDTH])
        return 0
    if not read.positional and "all" not in read.options:
        raise ValueError("reproduce needs the name of a recipe, such as ascl.table2, or --all; `list` names them")
    if read.positional and "all" in read.options:
        raise ValueError(f"--all is every recipe: leave it out, or {', '.join(read.positional)}")
    chosen = [recipes.find(name) for name in read.positional or recipes.recipes()]
    budget = _one(read, "budget", "full")
    if budget not in BUDGETS:
        raise ValueError(f"--budget must be one of {', '.join(BUDGETS)}, not {budget!r}")
    rows = [name.strip() for name in _one(read, "rows", "").split(";") if name.strip()]
    if "rows" in read.options and not rows:
        names = "; ".join(row.name for row in chosen[0].rows)
        raise ValueError(f"--rows names no row; rows of {chosen[0].name} are {names} (several with ';' between them)")
    if rows and len(chosen) > 1:
        raise ValueError(f"--rows names rows of one recipe, but there are {len(chosen)}")
    for name in rows:
        chosen[0].row(name)
    data, root = _one(read, "data", None), _one(read, "root", None)
    if budget == "smoke" and data is None and root is None:
        data = "digits"
    if "data-label" in read.options and data is None and root is None:
        raise ValueError("--data-label says what other images are called: it needs --data or --root")
    place = place_of(
        data,
        None if root is None else Path(root),
        _one(read, "data-label", None),
        Path(_one(read, "out", "results")),
        Path(_one(read, "runs", "runs/recipes")),
        download="download" in read.options,
        transfer_root=_one(read, "transfer-root", None),
        computed=read.settings,
    )
    if read.settings and not any(recipe.trains(row) for recipe in chosen for row in recipe.rows):
        raise ValueError(f"{', '.join(read.settings)} is given, but {chosen[0].name} is not trained by sparring's loop")
    chosen = bring(chosen, read.options.get("weights", []), download=place.download)
    chosen = on_official_files(chosen, _one(read, "corrupted", None))
    seeds, count = _seeds(read), _workers(read)
    sentences: list[str] = []
    if "summary" in read.options:
        for option in [*({"rows", "seeds"} & read.options.keys()), *read.settings]:
            raise ValueError(f"--summary prints all that is there: leave --{option} out")
        check_any(chosen, place)
    else:
        check_folder("out", place.out)
        check_folder("runs", place.runs)
        if "ray" not in read.options:
            _check_here(read.settings)
        tasks, why = recipes.planned(chosen, BUDGETS[budget], place, rows=rows, seeds=seeds)
        refused = {name: re.sub(r"\bdata\.(name|root|download)\b", _flag, said) for name, said in why.items()}
        if len(refused) == len(chosen):
            raise ValueError("; ".join(dict.fromkeys(refused.values())))
        sentences += [f"not run: {name}: {sentence}" for name, sentence in refused.items()]
        begins = [recipe for recipe in chosen if any(recipe.name in task.recipes for task in tasks)]
        for cost in dict.fromkeys(recipe.cost for recipe in begins if budget == "full"):
            print(f"{', '.join(recipe.name for recipe in begins if recipe.cost == cost)}: {cost}", file=sys.stderr)
        sentences += [f"failed: {line}" for line in recipes.described(_run(tasks, count, _one(read, "ray", None)))]
    for recipe in chosen:
        try:
            print(recipes.write_summary(recipe, BUDGETS[budget], place, sentences.append), end="\n\n", flush=True)
        except ValueError as error:
            sentences.append(f"no table: {error}")
    for sentence in sentences:
        print(f"sparring: {sentence}", file=sys.stderr)
    if "all" in read.options:
        from sparring.recipes.leaderboard_page import write_leaderboard

        print(write_leaderboard(place.out, place.out / "leaderboard.html"))
    return 1 if sentences else 0


def _may_be_a_recipe(word: str) -> bool:
    from sparring.recipes.reproduce import recipes

    return word == "list" or nearest(word, recipes()) is not None


def _run(tasks: Sequence[CellTask], count: int | None, ray: str | None) -> Sequence[Failure]:
    """The grid on new workers, which end with it."""
    from sparring.recipes.grid import run_grid
    from sparring.recipes.ray_workers import RayWorkers
    from sparring.recipes.workers import Local, cores, shares, visible_gpus
    from sparring.training import Stopped

    def stop(*_: object) -> None:
        raise Stopped(143, CONTINUES)

    if not tasks:
        return []
    if ray is not None:
        workers = RayWorkers(ray, count)
    else:
        gpus = visible_gpus()
        count, threads = shares(count, cores(), len(gpus))
        workers = Local(count, threads=threads, gpus=gpus)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        return run_grid(tasks, workers)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(CONTINUES) from None
    finally:
        workers.close()
        signal.signal(signal.SIGTERM, before)


def _check_here(settings: dict[str, Any]) -> None:
    """A ValueError if this machine cannot compute so; tried in a process of its own, which leaves no GPU taken."""
    training = build(settings).training
    if training == TrainingConfig():
        return
    from sparring.training.check import check_computes

    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        alone.submit(check_computes, training).result()


def _flag(setting: re.Match[str]) -> str:
    """What a setting of the data is called here."""
    return {"name": "--data", "root": "--root", "download": "--download"}[setting[1]]


def _one(read: Words, option: str, default: str | None) -> Any:
    return read.options[option][-1] if option in read.options else default


def _seeds(read: Words) -> list[int]:
    given = _one(read, "seeds", "")
    parts = given.replace(",", " ").split()
    if not all(part.isdecimal() for part in parts) or ("seeds" in read.options and not parts):
        raise ValueError(
            f"--seeds must be whole numbers of at least 0 separated by commas, such as 0,1,2, not {given!r}"
        )
    return [int(part) for part in parts]


def _workers(read: Words) -> int | None:
    given = _one(read, "workers", None)
    if given is not None and not (given.isdecimal() and int(given) > 0):
        raise ValueError(f"--workers must be a whole number of at least 1, not {given!r}")
    return None if given is None else int(given)
