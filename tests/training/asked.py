"""`torchrun -m tests.training.asked OUT`: a run of slow steps, as on a GPU, whose second process is asked to stop at its third.

As by a batch system that signals all processes: torchrun is asked as well, and passes it on.
"""

import os
import signal
import sys
import time

import torch

from sparring.training import loop, train
from sparring.training.module import ContrastiveModule
from tests.training.runs import tiny

training_step = ContrastiveModule.training_step


def slow(self, batch, batch_index):
    if os.environ["RANK"] == "1" and batch_index == 2:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(0.1)
    return training_step(self, batch, batch_index)


if __name__ == "__main__":
    signal.alarm(240)  # one that waits for the other for ever ends too
    torch.set_num_threads(1)
    ContrastiveModule.training_step = slow
    loop._looks_are_free = lambda module: False
    loop.LOOK_SECONDS = 0.5
    config = tiny(sys.argv[1], method="simclr", epochs=1, processes=2, probe_every=0, batch_size=8)
    config.data.train_images = 512
    train(config)
