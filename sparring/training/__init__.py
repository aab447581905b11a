"""One loop for every method: a configuration is completed and checked, then trained."""

from sparring.training.build import build_attack, build_method
from sparring.training.checkpoints import latest
from sparring.training.engine import train
from sparring.training.fit import new_encoder
from sparring.training.gather import Gathered
from sparring.training.optimisers import LARS, build_optimizer
from sparring.training.resolve import needs_labels, resolve
from sparring.training.run_folder import load_config
from sparring.training.schedules import learning_rate
from sparring.training.signals import Stopped
from sparring.training.uniform import uniform_loss

__all__ = [
    "LARS",
    "Gathered",
    "Stopped",
    "build_attack",
    "build_method",
    "build_optimizer",
    "latest",
    "learning_rate",
    "load_config",
    "needs_labels",
    "new_encoder",
    "resolve",
    "train",
    "uniform_loss",
]
