"""One data-parallel process of a run: `python -m sparring.training.worker RUN CHECKPOINT-or-empty MESSAGES`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from sparring.data import load_images
from sparring.training.checkpoints import WEIGHTS, load_state
from sparring.training.fit import fit, new_encoder, weights_of
from sparring.training.run_folder import load_config


def main(run: str, checkpoint: str, messages: str) -> None:
    """Train as this rank; what goes wrong is left as one sentence where the launcher looks for it."""
    try:
        if "OMP_NUM_THREADS" in os.environ:
            torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        config = load_config(Path(run))
        train, _ = load_images(config.data, seed=config.training.seed)
        state, weights = None, None
        if checkpoint:
            state, weights = load_state(Path(checkpoint)), Path(checkpoint) / WEIGHTS
        elif config.init_from is not None:
            weights = weights_of(config.init_from)
        encoder = new_encoder(config, train.channels, len(train.classes), weights=weights)
        fit(Path(run), config, encoder, train, state)
    except Exception as error:
        (Path(messages) / f"rank-{os.environ.get('RANK', '0')}.txt").write_text(f"{error}")
        raise


if __name__ == "__main__":
    main(*sys.argv[1:])
