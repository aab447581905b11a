"""One file, one method, one frozen dataclass whose call is the paper's equation."""

from sparring.methods.acl import ACL
from sparring.methods.adr import ADR
from sparring.methods.adversarial_training import AdversarialTraining
from sparring.methods.ascl import ASCL
from sparring.methods.clae import CLAE
from sparring.methods.natural import Natural
from sparring.methods.org_scl import OrgSCL
from sparring.methods.plain import Plain
from sparring.methods.rocl import RoCL
from sparring.methods.settings import Settings
from sparring.methods.simclr import SimCLR
from sparring.methods.supcon import SupCon
from sparring.methods.swav import SwAV
from sparring.methods.trades import Trades
from sparring.methods.uel import UEL

__all__ = [
    "ACL",
    "ADR",
    "ASCL",
    "CLAE",
    "UEL",
    "AdversarialTraining",
    "Natural",
    "OrgSCL",
    "Plain",
    "RoCL",
    "Settings",
    "SimCLR",
    "SupCon",
    "SwAV",
    "Trades",
]
