"""AutoAttack on any classifier, in chunks, continued after a kill; the mathematics is pyautoattack's."""

from sparring.attacks.autoattack.attack import AutoAttack, AutoAttacked
from sparring.attacks.autoattack.progress import Progress

__all__ = ["AutoAttack", "AutoAttacked", "Progress"]
