"""Which worker processes train together, and which of them this one is. Standard library only."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from ascendcv.utils.errors import InputError


@dataclass(frozen=True)
class Cluster:
    """The workers' addresses, 'host:port' each, and this process's place among them."""

    workers: tuple[str, ...]
    index: int

    @property
    def tf_config(self) -> str:
        """The environment variable TF_CONFIG that describes this cluster to TensorFlow."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


def read_cluster(
    path: str | os.PathLike, worker_index: int, environment: Mapping[str, str] = os.environ
) -> Cluster | None:
    """The cluster of a JSON list of "host:port", else of a TF_CONFIG that is already set, else None.

    One entry, or none, needs no cluster: None. Raises `InputError` for a file that is no such list and for an
    index that it does not have.
    """
    if path:
        workers = _read_workers(path)
        source, index = str(path), worker_index
    elif environment.get("TF_CONFIG"):
        source = "the environment variable TF_CONFIG"
        workers, index = _read_tf_config(environment["TF_CONFIG"])
    else:
        return None
    if not 0 <= index < len(workers):
        raise InputError(
            f"worker_index {index} is not in {source}, which has {len(workers)} workers, counted from 0"
        )
    return Cluster(tuple(workers), index) if len(workers) > 1 else None


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
    try:
        config = json.loads(text)
        return list(config["cluster"]["worker"]), int(config["task"]["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"the environment variable TF_CONFIG has no cluster.worker list and task.index: {text!r}"
        ) from error


def _is_address(worker: object) -> bool:
    host, _, port = worker.rpartition(":") if isinstance(worker, str) else ("", "", "")
    return bool(host) and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536
