"""How benchmarks measure: interleaved medians, peak memory, and the arithmetic peak to compare with."""

import argparse
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

THREADS = 2


def median_times(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each run, after one that does not count.

    They take turns, so that whatever else the machine does slows all of them alike and the ratios stay true.
    """
    times = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


class Cost(NamedTuple):
    """Seconds."""

    processor: float
    wall: float


def median_costs(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Cost]:
    """Median seconds of each run, after one that does not count; they take turns."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = Cost(time.process_time(), time.perf_counter())
            run()
            if number:
                costs[name].append(Cost(time.process_time() - start.processor, time.perf_counter() - start.wall))
    return {name: Cost(*map(statistics.median, zip(*all_costs, strict=True))) for name, all_costs in costs.items()}


def options_of(program: str | None, cases: Collection[str], rounds: int) -> argparse.Namespace:
    """What the command line says: `cases`, all of them by default, and how many `rounds`."""
    parser = argparse.ArgumentParser(description=program, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(cases)}; all by default")
    parser.add_argument("--rounds", type=int, default=rounds)
    options = parser.parse_args()
    if unknown := set(options.cases) - set(cases):
        parser.error(f"there is no case {unknown.pop()!r}; there are {', '.join(cases)}")
    options.cases = options.cases or list(cases)
    return options


def begin(rounds: int) -> None:
    """Limits TensorFlow to THREADS, and prints the machine and the speed of a large matrix product on it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    print(machine())
    product, operations = matrix_product()
    cost = median_costs({"product": product}, rounds)["product"]
    print(f"a large matrix product: {operations / cost.processor / 1e9:.0f} GFLOP/s of processor time")


def peak_memory(prepare: Callable[..., Callable[[], object]], *arguments) -> int:
    """The most memory, in MiB, of a process of its own that calls `prepare(*arguments)()`, TensorFlow included."""
    return _in_own_process(prepare, *arguments)[1]


def added_memory(prepare: Callable[..., Callable[[], object]], *arguments) -> int:
    """The same less what the process had before the call: arguments and TensorFlow, but no trace of a graph."""
    before, peak = _in_own_process(prepare, *arguments)
    return peak - before


def _in_own_process(prepare: Callable[..., Callable[[], object]], *arguments) -> tuple[int, int]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_memory_of_this_process, prepare, *arguments).result()


def _memory_of_this_process(prepare: Callable[..., Callable[[], object]], *arguments) -> tuple[int, int]:
    """MiB before the call, and at most during it."""
    run = prepare(*arguments)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _memory("VmRSS")
    run()
    # Not ru_maxrss, which a process inherits from the one that started it.
    return before, _memory("VmHWM")


def _memory(name: str) -> int:
    return int(Path("/proc/self/status").read_text().split(f"{name}:")[1].split()[0]) // 1024


def graph(function: Callable, *arguments, jit_compile: bool = False) -> Callable[[], object]:
    """`function(*arguments)` as a TensorFlow graph, by choice compiled by XLA; a call returns when it is done."""
    import tensorflow as tf

    compiled = tf.function(function, jit_compile=jit_compile, autograph=False)
    return lambda: finished(compiled(*arguments))


def finished(tensors):
    """Waits until the tensors are there (a GPU computes behind the program's back)."""
    import tensorflow as tf

    return tf.nest.map_structure(lambda tensor: tensor.numpy(), tensors)


def matrix_product(size: int = 2048) -> tuple[Callable[[], object], float]:
    """A large matrix product, and its floating-point operations: what divides them by its time is the peak."""
    import tensorflow as tf

    a, b = tf.random.normal([size, size]), tf.random.normal([size, size])
    return graph(tf.matmul, a, b), 2.0 * size**3


def memory_copy(size: int = 256 << 20) -> tuple[Callable[[], object], int]:
    """Copying memory that no cache holds by two threads, and the bytes: read, and as many written."""
    parts = [np.zeros(size // 8, np.uint32) for _ in range(4)]
    pool = ThreadPoolExecutor(2)
    return lambda: list(pool.map(np.copyto, parts[:2], parts[2:])), size


def machine() -> str:
    """One line to print above numbers."""
    import tensorflow as tf

    gpus, processors = len(tf.config.list_physical_devices("GPU")), len(os.sched_getaffinity(0))
    return f"TensorFlow {tf.__version__}, {processors} processors, {gpus} GPUs, load {os.getloadavg()[0]:.1f}"
