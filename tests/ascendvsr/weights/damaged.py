"""Damaged checkpoints of every format, read one after another by a process that a crash ends alone.

python -m tests.ascendvsr.weights.damaged FOLDER FIRST END

prints a line per file: its number, format, outcome, and the peak of the process's memory in MiB.
"""

import io
import os
import resource
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from ascendcv.utils.errors import InputError
from ascendvsr.weights import h5_file, load_checkpoint
from tests.ascendvsr.weights.torch_bytes import TorchFile, legacy_bytes, zip_bytes

SECONDS = 10  # that one file may take
MEMORY = 4 << 30  # address space of the process, which has 1 GiB for its libraries


def arrays() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "conv.weight": random.standard_normal((8, 3, 3, 3), np.float32),
        "conv.bias": random.standard_normal(8, np.float32),
        "norm.num_batches_tracked": np.array(7),
        "tail.weight": random.standard_normal((4, 8, 1, 1), np.float32),
    }


def originals() -> dict[str, bytes]:
    """Whole files, by format. `pickle` is damaged before it is packed, so that its archive is whole."""
    tree = {"params": arrays(), "epoch": 3, "history": [1.5, {"psnr": (30.1, None)}]}
    memory = io.BytesIO()
    np.savez(memory, **arrays())
    place = Path(f"original-{os.getpid()}.h5")
    h5_file.write(place, [(f"layer_{i}/vars/0", a, n, range(a.ndim)) for i, (n, a) in enumerate(arrays().items())])
    h5 = place.read_bytes()
    place.unlink()
    return {
        "zip": TorchFile().zip(tree),
        "pickle": TorchFile().value(tree),
        "legacy": TorchFile().legacy(tree),
        "legacy pickle": TorchFile().value(tree),
        "safetensors": save(arrays()),
        "npz": memory.getvalue(),
        "npy": memory.getvalue(),
        "h5": h5,
    }


def damaged(kind: str, whole: bytes, random: np.random.Generator) -> bytes:
    """The file, damaged: some bytes changed, a part zeroed, repeated, moved or cut off."""
    if kind in ("pickle", "legacy pickle"):
        operations = b"\x80\x02" + _damaged(whole, random) + b"."
        file = TorchFile()
        file.value({"params": arrays()})
        make = zip_bytes if kind == "pickle" else legacy_bytes
        return make(operations, file.storages)
    if kind == "npy":
        memory = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(whole)) as given, zipfile.ZipFile(memory, "w") as archive:
            for name in given.namelist():
                data = given.read(name)
                archive.writestr(name, _damaged(data[:128], random) + data[128:] if random.random() < 0.5 else data)
        return memory.getvalue()
    if kind == "safetensors" and random.random() < 0.7:
        length = int.from_bytes(whole[:8], "little")
        header = _damaged(whole[8 : 8 + length], random)
        return len(header).to_bytes(8, "little") + header + whole[8 + length :]
    return _damaged(whole, random)


def _damaged(whole: bytes, random: np.random.Generator) -> bytes:
    data = bytearray(whole)
    for _ in range(random.integers(1, 4)):
        if not data:
            break
        start = int(random.integers(0, len(data)))
        length = int(random.integers(1, 64))
        match random.integers(0, 6):
            case 0 | 1:
                for _ in range(random.integers(1, 8)):
                    data[random.integers(0, len(data))] = random.integers(0, 256)
            case 2:
                data[start : start + length] = bytes(len(data[start : start + length]))
            case 3:
                other = int(random.integers(0, len(data)))
                data[start:start] = data[other : other + length]
            case 4:
                del data[start : start + length]
            case 5:
                # Numbers that say more than there is.
                width = int(random.choice([1, 2, 4, 8]))
                value = int(random.choice([0, 1, 2**7, 2**15, 2**31, 2**40, 2**63])) % 256**width
                data[start : start + width] = value.to_bytes(width, "little")[: len(data[start : start + width])]
    if random.random() < 0.1:
        del data[int(random.integers(0, len(data) + 1)) :]
    return bytes(data)


def main(folder: str, first: str, end: str) -> None:
    signal.signal(signal.SIGALRM, lambda *_: os._exit(99))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.chdir(folder)
    kinds = originals()
    for number in range(int(first), int(end)):
        kind, whole = list(kinds.items())[number % len(kinds)]
        path = Path("damaged.bin")
        path.write_bytes(damaged(kind, whole, np.random.default_rng(number)))
        signal.alarm(SECONDS)
        try:
            found = load_checkpoint(path)
            fine = all(np.isfinite(array).all() for array in found.values() if array.dtype.kind == "f")
            outcome = "read" if found and fine else "wrong"
        except InputError as error:
            outcome = "refused" if "damaged.bin" in str(error) and "\n" not in str(error) else f"said {error!r}"
        except BaseException as error:
            outcome = f"raised {type(error).__name__}"
        signal.alarm(0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(number, kind.replace(" ", "_"), outcome, peak, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
