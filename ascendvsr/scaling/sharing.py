"""A command whose parts are tasks of a cluster: each worker runs it with `--part K/N`."""

import argparse
import contextlib
import importlib
import io
import os
import threading
from collections.abc import Callable
from typing import Any

from ascendvsr.scaling.tasks import Engine, run_tasks, with_threads

_one_at_a_time = threading.Lock()


def run_parts(
    work: str,
    arguments: argparse.Namespace,
    count: int,
    engine: Engine,
    say: Callable[[str], None] = print,
) -> list[Any]:
    """Runs the `count` parts of a command on an engine, prints what each printed, and gives what each returned.

    Args:
        work: 'module:function' of the command, as the table of commands has it.
        arguments: parsed; the workers get them with `part`, and without `cluster` and `devices`.
    """
    common = vars(arguments) | {"cluster": None, "devices": None, "keeps_network": True}
    if "settings" in common:  # not of commands that compute without settings
        common["settings"] = with_threads(common["settings"], engine)
    tasks = (
        {"work": work, "arguments": common | {"part": f"{number}/{count}"}, "folder": os.getcwd()}
        for number in range(1, count + 1)
    )
    results = []
    for said, result in run_tasks(_run_part, tasks, engine, say=say):
        if said:
            say(said.rstrip("\n"))
        results.append(result)
    return results


def _run_part(task: dict[str, Any]) -> tuple[str, Any]:
    """Runs one part in a worker process; gives what it printed, and what it returned."""
    module, name = task["work"].split(":")
    with _one_at_a_time, contextlib.redirect_stdout(io.StringIO()) as said:
        os.chdir(task["folder"])
        result = getattr(importlib.import_module(module), name)(argparse.Namespace(**task["arguments"]))
    return said.getvalue(), result


def parts_for(engine: Engine, pieces: int) -> int:
    """Into how many parts work of so many pieces is divided, so that workers are not long without any."""
    return max(min(pieces, 4 * engine.processes if engine.processes else 64), 1)
