"""Stores trained weights as the package ships them: python scripts/ship_weights.py CHECKPOINT OUT.safetensors

CHECKPOINT is any file or folder of weights that this project reads; of a training checkpoint, the moving average.
Kernels become float16, which halves the file and changes restored pixels by far less than one 8-bit level. Biases
and the statistics of batch normalization, some of which float16 cannot hold, stay float32.
"""

import packages  # noqa: F401

# isort: split
import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path
from ascendvsr.weights.reader import load_checkpoint


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args(argv)
    try:
        if options.out.suffix != ".safetensors":
            raise InputError(f"{options.out} should end in .safetensors")
        weights = {name: stored(array) for name, array in sorted(load_checkpoint(options.checkpoint).items())}
    except InputError as error:
        print(f"ship_weights: {error}", file=sys.stderr)
        return 2
    with atomic_path(options.out) as temporary:
        save_file(weights, temporary)
    digest = hashlib.sha256(options.out.read_bytes()).hexdigest()
    print(f"{options.out}: {len(weights)} arrays, {options.out.stat().st_size} bytes, SHA-256 {digest}")
    return 0


def stored(array: np.ndarray) -> np.ndarray:
    """A kernel as float16, anything else as it is."""
    return np.ascontiguousarray(array, np.float16 if array.ndim == 4 else array.dtype)


if __name__ == "__main__":
    raise SystemExit(main())
