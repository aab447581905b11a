"""A table or figure of a paper as a value: its rows, what is measured of each, the paper's figures and its claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sparring.config import RunConfig
from sparring.configuration import nearest
from sparring.measuring import Fitted, LatentConfig, RobustnessConfig, WeightsConfig
from sparring.recipes.along import Along
from sparring.recipes.claims import Above, Change, Claim, Colours, Trend
from sparring.recipes.gains import GainsMore
from sparring.recipes.paper import Numbers
from sparring.recipes.susceptible import Loses, Steeper

if TYPE_CHECKING:
    from sparring.recipes.budgets import Budget

Make = Callable[["Row", RunConfig, "Budget", Path], dict[str, Any]]
"""From a row, its complete configuration, the size and the cell's folder to what its JSON says beside experiment, row, seed,
data, budget and how to rerun it."""
Means = Mapping[str, float]
"""A row's mean figures by their keys, accuracies as fractions."""


@dataclass(frozen=True)
class Weights:
    """What the user gives for a row that trains nothing."""

    file: Path
    config: WeightsConfig
    words: str
    """What they are called beside every figure: the file's name, or torchvision's or timm's."""


@dataclass(frozen=True)
class Given:
    """Weights that others trained and the user brings: nothing is trained in their row."""

    paper: str
    """Which weights the paper used, in words."""
    layout: Literal["torchvision", "simclr", "swav"]
    """Whose names such a file has, unless the user says otherwise."""
    weights: Weights | None = None
    """Those of the user; None until they are given."""


@dataclass(frozen=True)
class Row:
    """One line of a table: what is trained, at the paper's size, and the figures that the paper prints for it."""

    name: str
    run: RunConfig
    paper: Numbers = field(default_factory=dict)
    classifier: Fitted | None = None
    """What is attacked (`sparring list protocols`); None is the run's own classifier, or logistic regression."""
    given: Given | None = None
    """Weights of others: of `run` only data, evaluation and seed count then."""


@dataclass(frozen=True)
class Derived:
    """A figure computed from cells of a table and printed behind one of them, as paper 003 prints its drops."""

    mark: str
    """Such as the arrow of 26.8 ↓71.1."""
    words: str
    of: Callable[..., float]
    """Of the column's key, the row's Means, and those of each row of `references`; ValueError where it is not defined."""
    references: tuple[str, ...] = ()
    """Rows that it compares with; it stands behind no cell of theirs."""
    paper: str | None = None
    """What comes before the column's metric in the name of the paper's own figures; None: computed from its accuracies."""
    forms: tuple[str, str] = (".1%", ".0%")
    """How ours and the paper's are written."""
    rows: tuple[str, ...] = ()
    """Rows behind whose cells it stands; none are all but its references."""


@dataclass(frozen=True)
class Column:
    """One measure: its key in a result's `results`, and the paper's name for it."""

    key: str
    """clean, an attack such as pgd-250 or autoattack (with its suffix), a protocol such as logistic, or r_div."""
    paper: str | None = None
    """The paper's metric; None if it prints none."""
    derived: tuple[Derived, ...] = ()
    """What is computed from it and printed behind it."""


@dataclass(frozen=True)
class Under:
    """Attacks and corruptions of one robust evaluation."""

    config: RobustnessConfig
    suffix: str = ""
    """Follows an attack's name in a result's keys, such as " 1/255" where AutoAttack is run at two radii."""


@dataclass(frozen=True)
class Recipe:
    """Everything that `sparring reproduce NAME` does."""

    name: str
    """Such as ascl.table2: the paper's short name and its table or figure."""
    title: str
    source: str
    """Paper, table and what it says."""
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    copied: Mapping[str, Numbers] = field(default_factory=dict)
    """Figures that the paper took from others, by what it calls them: printed below the rows, and nothing of ours is."""
    claims: tuple[Claim | Trend | Change | Above | Along | Colours | Loses | Steeper | GainsMore, ...] = ()
    protocols: tuple[str, ...] = ()
    """Clean evaluations that every row gets, by the names of `sparring evaluate --protocol`."""
    version: Literal["default", "paper"] = "default"
    """Of the clean evaluations; paper selects on test images and says so."""
    perturbed: bool = False
    """Whether what perturbations do to the encoder is measured too: the keys of `keys.perturbations`."""
    robustness: tuple[Under, ...] = ()
    """What every row is measured under; with `make`, what that measures rows under."""
    transfer: tuple[str, ...] = ()
    """Data sets to which every row's frozen encoder is transferred; their keys are transfer-NAME."""
    latent: LatentConfig | None = None
    """How every row's latent space is looked into."""
    seeds: int = 3
    make: Make | None = None
    """Makes the result of a cell that is no training run with measurements; None is one."""
    cost: str = ""
    """What one row costs at full length, on which hardware; said when it begins at full size."""
    drawings: Callable[[Sequence[Mapping[str, Any]], Budget], list[tuple[str, str]]] | None = None
    """From all results (JSON) of a size, and the size, to drawings (SVG) with their captions, for a page of them."""

    @property
    def data(self) -> str:
        """The data set that its rows train on."""
        return self.rows[0].run.data.name

    def trains(self, row: Row) -> bool:
        """Whether the loop of `sparring train` makes that row."""
        return self.make is None and row.given is None

    def row(self, name: str) -> Row:
        """The row of that name, in whatever case; a ValueError that lists the rows if there is none."""
        found = [row for row in self.rows if row.name.lower() == name.lower()]
        if not found:
            near = nearest(name, [row.name for row in self.rows])
            hint = f"; did you mean {near}?" if near else ""
            hint += " (several rows are separated by ';')" if "," in name else ""
            raise ValueError(
                f"{self.name} has no row {name!r}; its rows are {'; '.join(r.name for r in self.rows)}{hint}"
            )
        return found[0]


def derived(run: RunConfig, changes: Mapping[str, object]) -> RunConfig:
    """`run` with the fields of dotted names replaced, such as {"method.name": "trades"}."""
    from dataclasses import replace

    for key, value in changes.items():
        group, _, leaf = key.rpartition(".")
        run = replace(run, **{group: replace(getattr(run, group), **{leaf: value})} if group else {leaf: value})
    return run
