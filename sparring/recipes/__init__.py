"""One file, one table or question of a paper: rows as Python values, the paper's numbers and claims beside them."""
