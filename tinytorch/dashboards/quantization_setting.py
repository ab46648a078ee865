"""How one layer is quantized."""

from __future__ import annotations

from typing import NamedTuple


class QuantizationSetting(NamedTuple):
    """What the controls of the quantization dashboard say."""

    layer: str
    bits: int
    scheme: str
    granularity: str
    calibrator: str

    def in_words(self) -> str:
        """Return the setting as a legend names it."""
        return (
            f"{self.layer}, {self.bits} bits, {self.scheme}, per {self.granularity}, "
            f"{self.calibrator}"
        )
