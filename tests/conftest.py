"""Shapes in annotations are checked in every test: jaxtyping with beartype over the whole package."""

import os

from jaxtyping import install_import_hook

install_import_hook("sparring", "beartype.beartype")

import pytest  # noqa: E402  (the hook must stand before anything that could import sparring)

if os.environ.get("PYTEST_XDIST_WORKER"):
    import torch

    # One worker a core: threads of several workers would only wait for each other.
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _leave_global_randomness_alone():
    """No test may depend on another's use of the global random state."""
    import torch

    torch.manual_seed(0)
