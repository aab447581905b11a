"""`python -m tests.training.killed OUT EPOCH STEP SIGNAL`: a run that sends itself a signal at the start of a step."""

import os
import sys

import torch

from sparring.training import train
from sparring.training.module import ContrastiveModule
from tests.training.runs import tiny

out, epoch, step, number = sys.argv[1], *map(int, sys.argv[2:])
training_step = ContrastiveModule.training_step


def signalled(self, batch, batch_index):
    if (self.epoch, self.step_in_epoch(batch_index)) == (epoch, step):
        os.kill(os.getpid(), number)
    return training_step(self, batch, batch_index)


if __name__ == "__main__":
    torch.set_num_threads(1)
    ContrastiveModule.training_step = signalled
    train(tiny(out))
