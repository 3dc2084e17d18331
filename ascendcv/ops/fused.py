"""Builds, caches and loads the compiled kernels of `csrc`, the implementation 'fused' of the operations.

Nothing is compiled when the package is installed or imported: the first use of a kernel compiles all of them with
g++ or clang++ (or what CXX names) for this processor, this TensorFlow and this source, which takes some seconds,
and keeps the library in the user's cache folder. Processes that start together build once. Where TensorFlow drives
NVIDIA GPUs and nvcc is on PATH, the same operations get kernels for these GPUs too.

    python -m ascendcv.ops.fused        builds ahead, says where, and checks the kernels
"""

import contextlib
import functools
import hashlib
import importlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from ascendcv.utils.errors import InputError
from ascendcv.utils.files import atomic_path, user_id

SOURCES = Path(__file__).parent / "csrc"

CUDA_FLAGS = ["-std=c++17", "-O3", "-Xcompiler", "-fPIC"]

# Of the floating-point shortcuts only those that keep NaN, infinity and the order of sums.
FLAGS = [
    "-shared",
    "-fPIC",
    "-O3",
    "-march=native",
    "-mprefer-vector-width=512",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-semantic-interposition",
]

_DIGEST = hashlib.sha256


class BuildError(InputError):
    """The kernels cannot be built or loaded here; the message says why."""


def load(kernel: str) -> Callable:
    """The function of this name in `fused_kernels`, which is called as the composed operation is.

    Raises `InputError` where the kernels cannot be built.
    """
    return getattr(_kernels(), kernel)


@functools.cache
def why_not() -> str | None:
    """None where the kernels serve TensorFlow's device; else why they do not. Builds them when nobody has yet.

    A build that fails is told once, in a warning with the compiler's last lines.
    """
    import tensorflow as tf

    try:
        _kernels()
    except BuildError as error:
        warnings.warn(f"{error}\nThe composed operations serve instead, more slowly.", stacklevel=2)
        return str(error).splitlines()[0]
    if tf.config.list_physical_devices("GPU") and not _gpu_targets():
        return "there is a GPU, and nvcc, which compiles the kernels for it, is not on PATH"
    return None


def check() -> list[str]:
    """How far each kernel agrees with the composed operation, a line for each.

    Raises `ArithmeticError` where one does not.
    """
    return _kernels().check()


@functools.cache
def _kernels():
    """The module that calls the kernels, with the library loaded."""
    import tensorflow as tf

    kernels = importlib.import_module("ascendcv.ops.fused_kernels")
    path = library()
    try:
        kernels.use(tf.load_op_library(str(path)))
    except (tf.errors.NotFoundError, OSError) as error:
        raise BuildError(f"the compiled kernels {path} cannot be loaded: {error}") from error
    return kernels


def library() -> Path:
    """The library of the kernels, built when it is not in the cache, or not whole there."""
    folder = _cache_folder()
    path = folder / f"fused-{_key()}.so"
    if not _whole(path):
        with FileLock(path.with_suffix(".lock")):
            if not _whole(path):
                _build(path)
    return path


def _key() -> str:
    """Names what the library depends on: the processor, the compiler's flags, TensorFlow and the source."""
    parts = [platform.machine(), _processor(), *_tensorflow_flags(), *FLAGS, *_extra_flags(), *_gpu_targets()]
    for source in sorted(SOURCES.iterdir()):
        parts += [source.name, source.read_text()]
    return _DIGEST("\n".join(parts).encode()).hexdigest()[:16]


def _processor() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    wanted = ("vendor_id", "cpu family", "model", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.split("\t")[0].split(":")[0].strip() in wanted}))


def _tensorflow_flags() -> list[str]:
    import tensorflow as tf

    # TensorFlow's headers are not ours to warn about.
    flags = [flag.replace("-I", "-isystem", 1) for flag in tf.sysconfig.get_compile_flags()]
    return [f"-DASCENDCV_TENSORFLOW={tf.version.VERSION}", *flags, *tf.sysconfig.get_link_flags()]


def _extra_flags() -> list[str]:
    """More flags for the compiler, from ASCENDCV_CXXFLAGS: sanitizers, for instance."""
    return shlex.split(os.environ.get("ASCENDCV_CXXFLAGS", ""))


def _compiler() -> str:
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        if name and (path := shutil.which(name)):
            return path
    raise BuildError(
        "the compiled kernels need a C++ compiler, and CXX, g++ and clang++ are not found: install g++"
    )


def _gpu_targets() -> list[str]:
    """nvcc's names of the GPUs here, as sm_90; none without nvcc or a TensorFlow that drives GPUs."""
    import tensorflow as tf

    if not tf.test.is_built_with_cuda() or shutil.which("nvcc") is None:
        return []
    details = (tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU"))
    return sorted({"sm_{}{}".format(*found["compute_capability"]) for found in details})


def _build(path: Path, gpu_targets: Sequence[str] | None = None) -> None:
    """Compiles and links the library; `gpu_targets` None: `_gpu_targets()`, empty: for processors only."""
    gpu_targets = _gpu_targets() if gpu_targets is None else gpu_targets
    compiler = _compiler()
    # One translation unit: TensorFlow's headers take longer than the kernels.
    unit = "".join(f'#include "{source}"\n' for source in sorted(SOURCES.glob("*.cc")))
    with atomic_path(path) as temporary, tempfile.TemporaryDirectory() as folder:
        objects = []
        for source in sorted(SOURCES.glob("*.cu")) if gpu_targets else ():
            objects.append(f"{folder}/{source.stem}.o")
            targets = [f"-gencode=arch={target.replace('sm', 'compute')},code={target}" for target in gpu_targets]
            _run([shutil.which("nvcc") or "nvcc", *CUDA_FLAGS, *targets, "-c", str(source), "-o", objects[-1]])
        cuda = [*objects, "-DASCENDCV_CUDA", *_cuda_runtime()] if objects else []
        command = [compiler, *FLAGS, "-x", "c++", "-", "-x", "none", *cuda, *_tensorflow_flags(), *_extra_flags()]
        _run([*command, "-o", str(temporary)], unit)
        with open(temporary, "rb+") as file:
            digest = _DIGEST(file.read()).digest()
            file.write(digest)


def _cuda_runtime() -> list[str]:
    """The linker's flags for CUDA's static runtime, which nvcc knows."""
    dry = subprocess.run(["nvcc", "--dryrun", "-E", os.devnull], capture_output=True, text=True).stderr
    line = next((line for line in dry.splitlines() if line.startswith("#$ LIBRARIES=")), "")
    return [*re.findall(r'-L[^"\s]+', line), "-lcudart_static", "-lrt"]


def _run(command: Sequence[str], source: str | None = None) -> None:
    """Runs a compiler. Raises `BuildError` with its last lines."""
    run = subprocess.run(command, input=source, capture_output=True, text=True)
    if run.returncode:
        last = "\n".join(run.stderr.strip().splitlines()[-12:])
        raise BuildError(f"{command[0]} could not build the compiled kernels (status {run.returncode})\n{last}")


def _whole(path: Path) -> bool:
    """Whether the file ends in the digest of the rest, as `_build` left it."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    size = _DIGEST().digest_size
    return _DIGEST(content[:-size]).digest() == content[-size:]


def _cache_folder() -> Path:
    """The user's cache folder, or one of the user's own for temporary files where that cannot be written."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    temporary = Path(tempfile.gettempdir()) / f"ascendcv-{user_id()}"
    for folder in (Path(home) / "ascendcv", temporary):
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A folder that somebody else made in /tmp may hold somebody else's library.
            own = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
            if own and os.access(folder, os.W_OK):
                return folder
    raise BuildError(f"the compiled kernels need a folder to stay in, and {home} and {temporary} cannot be written")


def main() -> int:
    """Builds the kernels and checks them; the exit status."""
    try:
        kernels = _kernels()
    except BuildError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"compiled kernels: {library()}")
    for line in kernels.check():
        print(line)
    return 0


if __name__ == "__main__":
    # The module that the registry imports is another than __main__, and only one may load the library.
    sys.exit(importlib.import_module("ascendcv.ops.fused").main())
