"""Every table and figure of the four papers, and the recipes that reproduce it: `sparring reproduce NAME`.

000 is the supplement of CLAE (001), 002 ASCL, 003 "On higher adversarial susceptibility of contrastive self-supervised
learning". A table has the name of its block in paper_results.yaml.
"""

from __future__ import annotations

CONTENTS: dict[str, tuple[str, ...]] = {
    "001_T1": ("clae.table1", "clae.table1-cifar100", "clae.table1-tiny"),
    "001_T2": ("clae.table2",),
    "001_text": ("clae.imagenet100",),
    "001 Fig. 2": ("clae.figure2",),
    "001 Fig. 3": ("clae.figure3",),
    "001 Fig. 4": ("clae.figure4",),
    "001 Fig. 5": ("clae.batch", "clae.dim", "clae.depth"),
    "001 Fig. 6": ("clae.alpha", "clae.eps", "clae.epochs"),
    "001 Fig. 7": ("clae.attacks",),
    "000_T1": ("clae.batch",),
    "000_T2": ("clae.dim",),
    "000_T3": ("clae.depth",),
    "000_T4": ("clae.alpha",),
    "000_T5": ("clae.eps",),
    "000_T6": ("clae.tiny-batch",),
    "000_T7": ("clae.tiny-dim",),
    "000_T8": ("clae.tiny-depth",),
    "000_T9": ("clae.tiny-alpha",),
    "000_T10": ("clae.tiny-eps",),
    "000_T11": ("clae.tiny-lr-epochs",),
    "002_T2": ("ascl.table2", "ascl.table2-cifar100"),
    "002_T3": ("ascl.table3",),
    "002_T4": ("ascl.table4",),
    "002_T5": ("ascl.table5",),
    "002_T6": ("ascl.table6",),
    "002_T7": ("ascl.table7",),
    "002_text": ("ascl.figure4", "ascl.figure5", "ascl.table6"),
    "002 Fig. 2": ("ascl.figure2",),
    "002 Fig. 3": ("ascl.figure3",),
    "002 Fig. 4": ("ascl.figure4",),
    "002 Fig. 5": ("ascl.figure5",),
    "002 Fig. 6": ("ascl.figure6",),
    "002 Fig. 7": ("ascl.figure7",),
    "002 Fig. 9": ("ascl.figure9",),
    "003_T1": ("csl.table1",),
    "003_T3": ("csl.table3", "csl.table3-cifar100"),
    "003_T4": ("csl.table4",),
    "003_T5": ("csl.table5",),
    "003_T6": ("csl.table6",),
    "003_T8": ("csl.table8",),
    "003_text": ("csl.figure3",),
    "003 Fig. 2": ("csl.figure2",),
    "003 Fig. 3": ("csl.figure3",),
}
WITHOUT: dict[str, str] = {
    "001 Fig. 1": "a scheme of the method",
    "002_T1": "definitions of the selections",
    "002 Fig. 1": "a scheme of the divergences",
    "002 Fig. 8": "a scheme of the method",
    "003 Fig. 1": "a scheme of the problem",
    "003_T2": "video",
    "003_T7": "video",
}
"""Those without a recipe, and why."""
OURS: dict[str, str] = {
    "clae.random-start": "does CLAE's adversary want a random start?",
    "csl.comparison": "rows of 003's tables beside each other under the same attacks",
    "trust": "can a robust evaluation be believed?",
}
"""Recipes that are none of the papers'."""
