"""The measures of the protocols gopro and dvd, against what Octave computed by MATLAB's definitions.

The numbers are those of matlab_psnr_ssim.m in this folder, run by Octave 7.3 on the same images.
"""

import numpy as np
import pytest

from ascendvsr.evaluation.protocols import PROTOCOLS

# PSNR (dB) and SSIM of each pair.
BY_OCTAVE = {
    "noisy": (26.722868036342, 0.917183886897),
    "darker": (23.986476654446, 0.991077939799),
    "moved": (26.261568958251, 0.986018682941),
}


@pytest.fixture
def pairs(photograph: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """8-bit images of several sizes, and what they should be."""
    noise = np.random.default_rng(7).integers(-20, 21, (64, 80, 3))
    first, second, third = photograph[100:164, 180:260], photograph[:40, 300:360], photograph[300:333, 100:121]
    return {
        "noisy": (np.clip(first + noise, 0, 255).astype(np.uint8), first),
        "darker": ((second.astype(int) * 7 // 8 + 9).astype(np.uint8), second),
        "moved": (np.roll(third, (1, 2), (0, 1)), third),
    }


@pytest.mark.parametrize("protocol", ["gopro", "dvd"])
@pytest.mark.parametrize("pair", BY_OCTAVE)
def test_psnr_and_ssim_are_those_of_matlab(protocol: str, pair: str, pairs):
    image, truth = pairs[pair]
    found = PROTOCOLS[protocol].measure(PROTOCOLS[protocol].image(image.astype(np.float64)), truth)
    psnr, ssim = BY_OCTAVE[pair]
    assert found["psnr"] == pytest.approx(psnr, abs=1e-9)
    assert found["ssim"] == pytest.approx(ssim, abs=1e-9)
