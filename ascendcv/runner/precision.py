"""Loss scaling, which keeps float16 gradients from vanishing."""

import re

from ascendcv.utils.errors import InputError

_LARGEST = 2.0**32


class LossScale:
    """The factor by which a loss is multiplied before its gradient is taken, and the gradient divided after.

    A dynamic one starts at 2^32, is halved after each update whose gradient overflows and doubled after
    `growth_interval` updates in a row without one.
    """

    def __init__(self, value: float = 1.0, dynamic: bool = False, growth_interval: int = 1000):
        self.value = value
        self.dynamic = dynamic
        self.growth_interval = growth_interval
        self.good_updates = 0

    @property
    def can_shrink(self) -> bool:
        """Whether an overflow may be the scale's fault."""
        return self.dynamic and self.value > 1.0

    def update(self, finite: bool) -> None:
        """Tells the scale whether the last gradient was finite."""
        if not self.dynamic:
            return
        self.good_updates = self.good_updates + 1 if finite else 0
        if not finite:
            self.value = max(self.value / 2, 1.0)
        elif self.good_updates == self.growth_interval:
            self.value, self.good_updates = min(self.value * 2, _LARGEST), 0


def make_loss_scale(text: str) -> LossScale:
    """'off' | 'd' and anything: dynamic | 'fXN' (f, any letter, a number): fixed at 2^N."""
    if text == "off":
        return LossScale()
    if text.startswith("d"):
        return LossScale(_LARGEST, dynamic=True)
    fixed = re.fullmatch(r"f\D?(\d+)", text)
    if fixed is None or int(fixed[1]) > 32:
        raise InputError(f"`loss_scale` {text!r} should be off, d (dynamic) or fXN (fixed at 2^N, N from 0 to 32)")
    return LossScale(2.0 ** int(fixed[1]))
