"""Each network beside its original and beside its own exports: python -m benchmarks.beside ORIGINALS [CASE ...]

ORIGINALS is a folder with clones of github.com/XPixelGroup/BasicSR, JingyunLiang/RVRT, codeslake/PVDNet,
csbhr/CDVD-TSP and visinf/deblur-devil; those that are not there are left out. The originals run on PyTorch, the
exports in ONNX Runtime and OpenVINO in float32. Each program is a process of its own, and they take turns, so that
ratios stay true on a machine that does other work: medians of processor time and of wall time, by two threads.
"""

import argparse
import functools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmarks import networks
from benchmarks.timing import THREADS, Cost

Run = Callable[[], object]

# program -> format of export, runtime
EXPORTS = {"ONNX Runtime": ("onnx-standard", "onnxruntime"), "OpenVINO": ("openvino", "openvino")}


def original(case: str, folder: Path) -> Run | None:
    """What restores the frames of a case of `benchmarks.networks` by the original; None: it is not in `folder`."""
    import torch

    torch.set_num_threads(THREADS)
    shape = networks.CASES[case].shape
    size = shape[2:4]
    home = folder / _HOMES[case]
    if not home.is_dir():
        return None
    if case.startswith("edvr"):
        from benchmarks.basicsr_official import official_edvr

        large = {"num_feat": 128, "num_reconstruct_block": 40} if case == "edvr_l" else {}
        return _restoring(official_edvr(str(home), **large), shape)
    if case == "basicvsr":
        from benchmarks.basicsr_official import official_basicvsr

        return _restoring(official_basicvsr(str(home), num_block=30), shape)
    if case == "rvrt":
        from benchmarks.rvrt import restoring_officially

        return restoring_officially(str(home), {}, shape)
    if case == "pvdnet":
        from benchmarks.pvdnet import original as pvdnet

        return pvdnet(str(home), "PVDNet", *size)
    if case == "cdvd_tsp":
        from benchmarks.cdvd_tsp import official as cdvd_tsp

        return cdvd_tsp(size, str(home), THREADS)
    from benchmarks.deblur import original as deblur

    return deblur(case.partition("_")[2] or None, size, str(home))


_HOMES = {
    "edvr_m": "BasicSR",
    "edvr_l": "BasicSR",
    "basicvsr": "BasicSR",
    "rvrt": "RVRT",
    "pvdnet": "PVDNet",
    "cdvd_tsp": "CDVD-TSP",
    "dbn": "deblur-devil",
    "flowdbn_pwcnet": "deblur-devil",
    "flowdbn_flownet1s": "deblur-devil",
}


def _restoring(model, shape: tuple[int, ...]) -> Run:
    import torch

    clip = torch.rand(*shape).movedim(-1, 2).contiguous()

    def run():
        with torch.inference_mode():
            return model(clip)

    return run


def ours(case: str, _: Path) -> Run:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    return networks.restoring(networks.CASES[case], own=True)


def exported(program: str, case: str, _: Path) -> Run:
    """What restores them by an exported file of that size, in its runtime."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    from ascendvsr.deployment.export import export_model
    from ascendvsr.deployment.formats import FORMATS
    from ascendvsr.restoration.runtimes import read_exported

    name, runtime = EXPORTS[program]
    shape = networks.CASES[case].shape
    frames = np.random.default_rng(0).random(shape, dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"network{FORMATS[name].suffix}"
        model = networks.network(networks.CASES[case])
        export_model(model, path, name, size=shape[2:4], num_frames=shape[1])
        runner = read_exported(path, runtime).runner(threads=THREADS)
        state = runner(frames)[1]  # OpenVINO compiles for a size when it first sees it
    return lambda: runner(frames, state)


def main() -> None:
    cases = [name for name, case in networks.CASES.items() if not case.training]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path, help="a folder of clones")
    parser.add_argument("cases", nargs="*", choices=[[], *cases], metavar="CASE", help=f"of {', '.join(cases)}")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(THREADS)}
    programs = {"ours": ours, "PyTorch": original}
    programs |= {program: functools.partial(exported, program) for program in EXPORTS}
    for case in options.cases or cases:
        print(f"{case} {'x'.join(map(str, networks.CASES[case].shape))}", flush=True)
        costs = take_turns(
            {name: functools.partial(make, case, options.originals.resolve()) for name, make in programs.items()},
            options.rounds,
        )
        for name, cost in costs.items():
            if isinstance(cost, str):
                print(f"  {name:14}{cost}", flush=True)
                continue
            base = costs["ours"]
            ratios = f"{cost.processor / base.processor:6.2f}{cost.wall / base.wall:6.2f} of ours"
            print(f"  {name:14}{cost.processor:8.2f} s of processors{cost.wall:8.2f} s{ratios}", flush=True)


def take_turns(programs: dict[str, Callable[[], Run | None]], rounds: int) -> dict[str, Cost | str]:
    """Median costs of a call of what each makes in a process of its own, or why there is none."""
    context = multiprocessing.get_context("spawn")
    results: dict[str, Cost | str] = {}
    running: dict[str, tuple[multiprocessing.Process, Connection]] = {}
    for name, make in programs.items():
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(make, there))
        process.start()
        there.close()
        problem = here.recv()  # one after the other: tracing and compiling take all processors
        if problem:
            results[name] = problem
        else:
            running[name] = process, here
    costs: dict[str, list[Cost]] = {name: [] for name in running}
    for _ in range(rounds):
        for name, (_process, connection) in running.items():
            connection.send(True)
            costs[name].append(Cost(*connection.recv()))
    for process, connection in running.values():
        connection.send(False)
        process.join()
    for name, measured in costs.items():
        results[name] = Cost(*map(statistics.median, zip(*measured, strict=True)))
    return {name: results[name] for name in programs}


def _serve(make: Callable[[], Run | None], connection: Connection) -> None:
    """Says '' when ready or what went wrong, then answers each True with the seconds of a call."""
    try:
        run = make()
        if run is None:
            connection.send("not there")
            return
        run()
    except Exception as error:
        connection.send(f"{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}")
        return
    connection.send("")
    while connection.recv():
        processor, wall = time.process_time(), time.perf_counter()
        run()
        connection.send((time.process_time() - processor, time.perf_counter() - wall))


if __name__ == "__main__":
    main()
