"""Pictures that are stored turned or mirrored."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Turn:
    """How a stored picture is turned to be seen: first transposed, then mirrored."""

    transpose: bool = False
    mirror_columns: bool = False  # left to right
    mirror_rows: bool = False  # top to bottom

    @classmethod
    def of_exif(cls, orientation: int) -> "Turn":
        """By EXIF's number, 1 to 8; others turn nothing."""
        numbers = {2: (0, 1, 0), 3: (0, 1, 1), 4: (0, 0, 1), 5: (1, 0, 0), 6: (1, 1, 0), 7: (1, 1, 1), 8: (1, 0, 1)}
        return cls(*map(bool, numbers.get(orientation, (0, 0, 0))))

    @classmethod
    def of_matrix(cls, matrix: bytes) -> "Turn":
        """By the display matrix of a video: nine integers, where x' = a x + c y, y' = b x + d y."""
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """[H, W, C], or [W, H, C] where it is transposed."""
        if self.transpose:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirror_columns:
            pixels = pixels[:, ::-1]
        return pixels[::-1] if self.mirror_rows else pixels
