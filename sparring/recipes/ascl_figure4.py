"""Figure 4: how many positives and negatives an anchor has over training, Global and Leaked selection.

The counts of every epoch stand in a result's `epochs`; those of the first and the last one are the columns. The paper's
26.4 positives include the anchor's own counterpart, and so do these.
Data:  CIFAR-10.
Cost:  see `ascl_rows.COST`.
Run:   sparring reproduce ascl.figure4
"""

from __future__ import annotations

from sparring.recipes.ascl_rows import COST, GLOBAL, LEAKED, PGD
from sparring.recipes.claims import Change, Claim
from sparring.recipes.paper import printed
from sparring.recipes.recipe import Column, Recipe, Row

COUNTS = tuple(f"{what}_{when}" for when in ("first", "last") for what in ("num_pos", "num_neg"))
SPLIT = tuple(f"num_neg_{which}_{when}" for when in ("first", "last") for which in ("clean", "adv"))
"""Of the negatives, how many are clean images and how many adversarial ones (Fig. 4b)."""
CONSTANT = printed("002_text", "ASCL-Global", sel="global")
OVER_TIME = {
    f"{metric}_{when}": value
    for when in ("first", "last")
    for metric, value in printed("002_text", "ASCL-Leaked", epoch=when).items()
}

RECIPE = Recipe(
    name="ascl.figure4",
    title="Positives and negatives of an anchor over training",
    source="ASCL, Fig. 4 and section 4.3 (CIFAR-10, batch 128)",
    rows=(
        Row("ASCL-Global", GLOBAL, {name: CONSTANT[name.rpartition("_")[0]] for name in COUNTS}),
        Row("ASCL-Leaked", LEAKED, OVER_TIME),
    ),
    columns=(*(Column(name, name) for name in COUNTS), *map(Column, SPLIT), Column("own"), Column("pgd-250")),
    claims=(
        *(
            Claim(
                "ASCL-Global",
                "ASCL-Leaked",
                f"an anchor has fewer {what} with Leaked than with Global selection (ASCL, section 4.3)",
                (name,),
            )
            for name, what in zip(COUNTS, ("positives", "negatives") * 2, strict=True)
        ),
        Change(
            "ASCL-Leaked",
            "num_pos_first",
            "num_pos_last",
            "positives rise from the first to the last epoch (ASCL, section 4.3)",
        ),
        *(
            Change(
                "ASCL-Leaked",
                f"num_neg_clean_{when}",
                f"num_neg_adv_{when}",
                f"more adversarial than clean images among the negatives, {when} epoch (ASCL, section 4.3 and Fig. 4b)",
            )
            for when in ("first", "last")
        ),
        Change(
            "ASCL-Leaked",
            "num_neg_first",
            "num_neg_last",
            "negatives fall from the first to the last epoch (ASCL, section 4.3)",
            True,
        ),
    ),
    protocols=("own",),
    robustness=(PGD,),
    cost=COST,
)
