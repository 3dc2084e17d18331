"""Where processes that know their number, but not each other's addresses, find each other. Standard library only.

MPI and torchrun tell a process its rank and where rank 0 runs; TensorFlow wants the addresses of all. Each takes a
free port of its own, tells rank 0, and gets the whole list from there.
"""

import json
import socket
import time

from ascendcv.utils.errors import InputError

_LINE = 4096  # bytes of a message of one process
_PAUSE = 0.2  # seconds between attempts to reach rank 0


def meet(rank: int, size: int, host: str, port: int, timeout: float = 300.0) -> list[str]:
    """The addresses 'host:port' of all `size` processes, in the order of their ranks; the same list for each.

    Args:
        rank: of this process, from 0.
        host, port: where rank 0 listens for the others meanwhile.
        timeout: seconds to wait for all.
    Raises:
        InputError: rank 0 cannot listen there, or not all have come.
    """
    deadline = time.monotonic() + timeout
    return _gather(size, host, port, deadline) if rank == 0 else _report(rank, host, port, deadline)


def free_port() -> int:
    """A port that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def _gather(size: int, host: str, port: int, deadline: float) -> list[str]:
    found = {0: f"{host}:{free_port()}"}
    connections: dict[int, socket.socket] = {}
    try:
        with socket.create_server(("", port), backlog=size) as server:
            while len(found) < size:
                server.settimeout(max(deadline - time.monotonic(), 0.01))
                connection, _ = server.accept()
                message = _read_line(connection, deadline)
                if message is None or not 0 < message[0] < size or message[0] in connections:
                    connection.close()
                    continue
                found[message[0]], connections[message[0]] = message[1], connection
            workers = [found[number] for number in range(size)]
            for connection in connections.values():
                connection.sendall(json.dumps(workers).encode() + b"\n")
            return workers
    except TimeoutError:
        missing = ", ".join(str(number) for number in range(size) if number not in found)
        reason = f"of {size} processes that train together, these have not come to {host}:{port}: {missing}"
        raise InputError(reason) from None
    except OSError as error:
        raise InputError(f"rank 0 cannot meet the others at {host}:{port}: {error.strerror or error}") from error
    finally:
        for connection in connections.values():
            connection.close()


def _read_line(connection: socket.socket, deadline: float) -> tuple[int, str] | None:
    """Rank and address that a process tells; None: it is none of ours."""
    connection.settimeout(max(min(deadline - time.monotonic(), 10.0), 0.01))
    try:
        rank, address = json.loads(connection.makefile("rb").readline(_LINE))
        return int(rank), str(address)
    except (OSError, ValueError, TypeError):
        return None


def _report(rank: int, host: str, port: int, deadline: float) -> list[str]:
    why = "time is up"
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((host, port), timeout=10.0) as connection:
                own = f"{connection.getsockname()[0]}:{free_port()}"
                connection.sendall(json.dumps([rank, own]).encode() + b"\n")
                connection.settimeout(max(deadline - time.monotonic(), 0.01))
                line = connection.makefile("rb").readline()
            if line:
                return json.loads(line)
            why = "it closed the connection"
        except TimeoutError:
            why = "not all processes have come there"
        except OSError as error:
            why = error.strerror or str(error)
        time.sleep(_PAUSE)
    raise InputError(f"rank {rank} cannot meet rank 0 at {host}:{port}: {why}")
