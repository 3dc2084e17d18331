"""Which worker processes train together, and which of them this one is. Standard library only.

A JSON list names them, or what started the processes tells it by environment variables: TF_CONFIG (Kubeflow, Vertex
AI), torchrun, MPI, Slurm.
"""

import itertools
import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from ascendcv.runner.rendezvous import meet
from ascendcv.utils.errors import InputError

_PORT = 29500  # where rank 0 meets the others, if nothing says another one
_SLURM_PORTS = (
    20000,
    750,
    16,
)  # the first one, how many blocks for jobs, ports in a block


@dataclass(frozen=True)
class Cluster:
    """The workers' addresses, 'host:port' each, and this process's place among them.

    Attributes:
        local: its place among the workers of its host, where what started it says so.
    """

    workers: tuple[str, ...]
    index: int
    local: int | None = None

    @property
    def tf_config(self) -> str:
        """The environment variable TF_CONFIG that describes this cluster to TensorFlow."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


def read_cluster(
    path: str | os.PathLike, worker_index: int, environment: Mapping[str, str] = os.environ
) -> Cluster | None:
    """The cluster of a JSON list of "host:port", else the one that the environment tells of, else None.

    Looked at are, in this order: TF_CONFIG; RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as torchrun sets them;
    OMPI_COMM_WORLD_RANK and _SIZE; those of a Slurm step; PMI_RANK and PMI_SIZE. By torchrun and MPI the processes
    meet at MASTER_ADDR first (`ascendcv.runner.rendezvous`). One worker, or none, needs no cluster: None. Raises
    `InputError` for a file that is no such list, an index that it does not have, and variables that make no sense.
    """
    local = None
    if path:
        workers, index, source = _read_workers(path), worker_index, str(path)
    elif environment.get("TF_CONFIG"):
        workers, index = _read_tf_config(environment["TF_CONFIG"])
        source = "the environment variable TF_CONFIG"
    elif found := _read_scheduler(environment):
        workers, index, local, source = found
    else:
        return None
    if not 0 <= index < len(workers):
        raise InputError(
            f"worker_index {index} is not in {source}, which has {len(workers)} workers, counted from 0"
        )
    return Cluster(tuple(workers), index, local) if len(workers) > 1 else None


def check_port(index: int, worker: str) -> None:
    """Raises `InputError` where worker `index` of this host cannot have the port of its 'host:port'."""
    port = int(worker.rpartition(":")[2])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise InputError(f"worker {index} cannot have port {port}: {error.strerror}") from error


def _read_workers(path: str | os.PathLike) -> list[str]:
    try:
        with open(path) as file:
            workers = json.load(file)
    except OSError as error:
        raise InputError(f"cannot read cluster_file {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"cluster_file {path} is not valid JSON: {error}") from error
    if not isinstance(workers, list) or not workers or not all(_is_address(worker) for worker in workers):
        raise InputError(f'cluster_file {path} should hold a JSON list of "host:port", one a worker process')
    if len(set(workers)) < len(workers):
        raise InputError(f"cluster_file {path} names an address twice; each worker needs a port of its own")
    return workers


def _read_tf_config(text: str) -> tuple[list[str], int]:
    """The workers, of which a chief is the first, and the index of this one among them."""
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        chiefs = list(cluster.get("chief") or cluster.get("master") or [])
        workers, kind, index = (
            [*chiefs, *(cluster.get("worker") or [])],
            task.get("type", "worker"),
            int(task["index"]),
        )
        if not workers or not all(isinstance(worker, str) for worker in workers):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"the environment variable TF_CONFIG has no cluster.worker list and task.index: {text[:200]!r}"
        ) from error
    if kind not in ("chief", "master", "worker"):
        raise InputError(
            f"the environment variable TF_CONFIG makes this process a {kind}; all processes train here: give the "
            "job workers only, and perhaps a chief"
        )
    return workers, index + (len(chiefs) if kind == "worker" else 0)


def _read_scheduler(environment: Mapping[str, str]) -> tuple[list[str], int, int | None, str] | None:
    """(workers, index, place on the host, what told so) by what has started this process together with others."""
    if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= environment.keys():
        # The agent of torchrun listens at MASTER_PORT itself.
        behind = 1 if "TORCHELASTIC_RUN_ID" in environment else 0
        return _by_ranks(environment, "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", behind)
    name = "OMPI_COMM_WORLD_"
    if {f"{name}RANK", f"{name}SIZE"} <= environment.keys():
        return _by_ranks(environment, f"{name}RANK", f"{name}SIZE", f"{name}LOCAL_RANK", f"{name}LOCAL_SIZE", 0)
    if "SLURM_PROCID" in environment and "SLURM_STEP_NODELIST" in environment:
        return _by_slurm(environment)
    if {"PMI_RANK", "PMI_SIZE"} <= environment.keys():
        return _by_ranks(environment, "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", 0)
    return None


def _by_ranks(
    environment: Mapping[str, str], rank: str, size: str, local_rank: str, local_size: str, behind: int
) -> tuple[list[str], int, int | None, str] | None:
    index, count = _number(environment, rank), _number(environment, size)
    source = f"what {rank} and {size} say"
    if count < 2:
        return None
    if index >= count:
        raise InputError(f"{rank} is {index}, and {size} only {count}")
    host = environment.get("MASTER_ADDR")
    if not host and environment.get(local_size) == str(count):
        host = "127.0.0.1"
    if not host:
        raise InputError(
            f"{size} is {count}, on several hosts, and MASTER_ADDR, the host of rank 0, is not set: hand it on, as "
            "in mpirun -x MASTER_ADDR=node0"
        )
    port = _number(environment, "MASTER_PORT", _PORT) + behind
    local = _number(environment, local_rank) if local_rank in environment else None
    return meet(index, count, host, port), index, local, source


def _by_slurm(environment: Mapping[str, str]) -> tuple[list[str], int, int | None, str] | None:
    """Tasks are laid out on the nodes in blocks, as Slurm does by itself; ports follow from the job's number.

    TensorFlow's `SlurmClusterResolver` is not used: it needs GPUs and TensorFlow itself, and sorts the hosts
    (node10 before node9), where Slurm numbers its tasks in the order of the list.
    """
    index = _number(environment, "SLURM_PROCID")
    hosts = expand_hosts(environment["SLURM_STEP_NODELIST"])
    per_node = environment.get("SLURM_STEP_TASKS_PER_NODE", environment.get("SLURM_TASKS_PER_NODE", "1"))
    counts = []
    for entry in per_node.split(","):
        match = re.fullmatch(r"([0-9]{1,6})(?:\(x([0-9]{1,6})\))?", entry)
        if not match:
            raise InputError(f"SLURM_STEP_TASKS_PER_NODE is {per_node!r}, which is not as Slurm writes it")
        counts += [int(match[1])] * int(match[2] or 1)
    if len(counts) != len(hosts):
        raise InputError(f"Slurm tells of {len(hosts)} hosts, and of tasks on {len(counts)}")
    first, blocks, ports = _SLURM_PORTS
    base = _number(environment, "MASTER_PORT", first + _number(environment, "SLURM_JOB_ID", 0) % blocks * ports)
    workers = [
        f"{host}:{base + place}" for host, count in zip(hosts, counts, strict=True) for place in range(count)
    ]
    own = environment.get("SLURMD_NODENAME")
    if own and index < len(workers) and workers[index].rpartition(":")[0] != own:
        raise InputError(
            f"task {index} runs on {own}, not on {workers[index].rpartition(':')[0]}: lay the tasks out in blocks, "
            "srun --distribution=block"
        )
    return workers, index, _number(environment, "SLURM_LOCALID", 0), "what SLURM_STEP_NODELIST says"


def expand_hosts(text: str) -> list[str]:
    """The hosts of a list as Slurm writes it, in its order. Raises `InputError` for anything else.

    >>> expand_hosts("node[1-2,08-10],login")
    ['node1', 'node2', 'node08', 'node09', 'node10', 'login']
    """
    hosts = []
    for entry in re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+|.", text):
        parts = re.split(r"\[([0-9,-]+)\]", entry)
        if any(sign in part for part in parts[::2] for sign in ",[]"):
            if entry == ",":
                continue
            raise InputError(f"{text!r} is no list of hosts as Slurm writes it")
        choices = [[part] if at % 2 == 0 else _numbers(part, text) for at, part in enumerate(parts)]
        hosts += ["".join(chosen) for chosen in itertools.product(*choices)]
    return hosts


def _numbers(ranges: str, text: str) -> list[str]:
    """'1-2,08' -> ['1', '2', '08']; what begins with zeros keeps its width."""
    numbers = []
    for part in ranges.split(","):
        match = re.fullmatch(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", part)
        if not match or int(match[2] or match[1]) - int(match[1]) not in range(100_000):
            raise InputError(f"{text!r} is no list of hosts as Slurm writes it")
        numbers += [
            str(number).zfill(len(match[1])) for number in range(int(match[1]), int(match[2] or match[1]) + 1)
        ]
    return numbers


def _number(environment: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environment.get(name, "")
    if not text and default is not None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InputError(f"the environment variable {name} is {text!r}; it should be a whole number")
    return int(text)


def _is_address(worker: object) -> bool:
    host, _, port = worker.rpartition(":") if isinstance(worker, str) else ("", "", "")
    return bool(host) and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536
