"""One file, one method, one frozen dataclass whose call is the paper's equation."""

from sparring.methods.clae import CLAE
from sparring.methods.plain import Plain
from sparring.methods.settings import Settings
from sparring.methods.simclr import SimCLR
from sparring.methods.supcon import SupCon
from sparring.methods.uel import UEL

__all__ = ["CLAE", "UEL", "Plain", "Settings", "SimCLR", "SupCon"]
