"""Writes checkpoints and is killed at each thing that it does to a file: `python killed_writer.py FOLDER`.

For n = 1, 2, ... a child process overwrites checkpoint 4 and adds 6, for which 2 has to go, in FOLDER/n, and is
killed by SIGKILL just before the n-th event. Prints how many events there are.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

from ascendcv.runner.checkpoint import CheckpointStore

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "ctypes.dlopen", "ctypes.dlsym"}


def write(store: CheckpointStore, step: int, content: str) -> None:
    def fill(folder: Path) -> dict:
        for name in ("model.weights.h5", "state.npz"):
            (folder / name).write_text(f"{content} {name}")
        return {"epoch": step}

    store.write(step, fill)


def store_in(folder: Path) -> CheckpointStore:
    return CheckpointStore(folder, "EDVR", keep=2, keep_best=0)


def kill_at(number: int) -> None:
    """Ends this process just before the `number`-th event from now on."""
    left = [number]

    def count(event: str, arguments: tuple) -> None:
        if event in EVENTS:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main(folder: str) -> None:
    for number in itertools.count(1):
        place = Path(folder) / str(number)
        for step in (2, 4):
            write(store_in(place), step, "old")
        child = os.fork()
        if not child:
            kill_at(number)
            for step in (4, 6):
                write(store_in(place), step, "new")
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            print(number - 1)
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
