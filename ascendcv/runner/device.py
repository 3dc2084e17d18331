"""Devices and how training is spread over them: `device`, `device_ids`, `rank_size`, cluster -> strategy.

Nothing here may run after TensorFlow has started its devices, which its first operation does.
"""

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Sequence

import tensorflow as tf

from ascendcv.runner.cluster import Cluster
from ascendcv.utils.errors import InputError

_NPU_ADAPTER = "npu_device"  # the vendor's module, which adds NPUs to TensorFlow when told to open one


def prepare_devices(
    device: str = "auto", device_ids: Sequence[int] = (0,), count: int = 1, num_threads: int = 0
) -> list[str]:
    """Makes TensorFlow see `count` devices of one kind and nothing else; gives their names: ['GPU:0', ...].

    Args:
        device: 'cpu', 'gpu', 'npu', or 'auto': the first of GPU, NPU and CPU that is there.
        device_ids: which accelerators of this host, or the first of them when `count` is larger. CPUs have no
            numbers: several CPU devices share the processor ("logical devices").
        count: number of devices.
        num_threads: threads of TensorFlow; 0: as many as there are processors.
    Raises:
        InputError: the device, or one of the numbers, is not there.
    """
    if count < 1:
        raise InputError(f"rank_size should be at least 1, not {count}")
    if num_threads:
        tf.config.threading.set_intra_op_parallelism_threads(num_threads)
        tf.config.threading.set_inter_op_parallelism_threads(num_threads)
    kind = _first_kind() if device == "auto" else device.upper()
    if kind == "NPU" and not tf.config.list_physical_devices("NPU"):
        return _open_npu_by_adapter(device_ids, count)
    if kind == "CPU":
        for accelerator in ("GPU", "NPU"):
            tf.config.set_visible_devices([], accelerator)
        if count > 1:
            logical = [tf.config.LogicalDeviceConfiguration()] * count
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], logical)
    else:
        _show_accelerators(kind, _numbers(device_ids, count))
    return [f"{kind}:{index}" for index in range(count)]


def make_strategy(
    device: str = "auto",
    device_ids: Sequence[int] = (0,),
    rank_size: int = 1,
    cluster: Cluster | None = None,
    num_threads: int = 0,
) -> tf.distribute.Strategy:
    """How training is spread over `rank_size` devices.

    One device: TensorFlow's default strategy. Several on this host: `MirroredStrategy`. A cluster of worker
    processes, here or on several hosts: `MultiWorkerMirroredStrategy` with rank_size / workers devices each;
    a `rank_size` of 1 then means one device a worker. Raises `InputError` for what `prepare_devices` refuses
    and for numbers that do not fit together.
    """
    if cluster is not None:
        return _multi_worker_strategy(device, device_ids, rank_size, cluster, num_threads)
    names = prepare_devices(device, device_ids, rank_size, num_threads)
    if len(names) > 1:
        return tf.distribute.MirroredStrategy(names)
    if names == ["CPU:0"]:
        _run_operations_in_order()
    return tf.distribute.get_strategy()


def _multi_worker_strategy(
    device: str, device_ids: Sequence[int], rank_size: int, cluster: Cluster, num_threads: int
) -> tf.distribute.Strategy:
    workers = len(cluster.workers)
    local, rest = (1, 0) if rank_size == 1 else divmod(rank_size, workers)
    if rest or not local:
        raise InputError(f"rank_size {rank_size} cannot be divided among the cluster's {workers} workers")
    own = _own_devices(device_ids, cluster.local, local)
    names = prepare_devices(device, own, local, num_threads)
    if names[0].startswith("NPU"):
        raise InputError(
            "TensorFlow's strategy for several workers knows CPUs and GPUs only; on NPUs leave cluster_file "
            "empty and say rank_size N: one process drives all the NPUs of a host"
        )
    if names[0].startswith("CPU") and local > 1:
        raise InputError(f"on CPUs a worker has one device: rank_size should be {workers}, not {rank_size}")
    os.environ["TF_CONFIG"] = cluster.tf_config
    return tf.distribute.MultiWorkerMirroredStrategy()


def _own_devices(device_ids: Sequence[int], place: int | None, count: int) -> Sequence[int]:
    """The devices of the worker at `place` among those of its host; `device_ids` where nobody knows the place.

    Slurm can give each process devices of its own, and then shows it no others.
    """
    if place is None or len(device_ids) > 1:
        return device_ids
    there = max(len(tf.config.list_physical_devices(kind)) for kind in ("GPU", "NPU"))
    if there <= count and "CUDA_VISIBLE_DEVICES" in os.environ:
        return device_ids
    return [device_ids[0] + place * count]


def _run_operations_in_order() -> None:
    """Makes equal runs give equal bits on a CPU, at the same number of threads.

    TensorFlow's graph optimizer turns large sums of three tensors or more into additions in the order in which
    these become ready, which depends on how operations that run at the same time overlap; its
    `enable_op_determinism` does not change that (seen in 2.21). Operations that run one after the other, each with
    all threads, took no longer at the sizes of training.
    """
    with contextlib.suppress(RuntimeError):  # TensorFlow has started already, as in a notebook
        tf.config.threading.set_inter_op_parallelism_threads(1)


def _first_kind() -> str:
    for kind in ("GPU", "NPU"):
        if tf.config.list_physical_devices(kind):
            return kind
    return "NPU" if importlib.util.find_spec(_NPU_ADAPTER) else "CPU"


def _numbers(device_ids: Sequence[int], count: int) -> list[int]:
    """`device_ids`, or `count` consecutive numbers from a single one."""
    numbers = list(range(device_ids[0], device_ids[0] + count)) if len(device_ids) == 1 else list(device_ids)
    if len(numbers) != count:
        raise InputError(f"device_ids {list(device_ids)} should name {count} devices (one each), or the first one")
    return numbers


def _show_accelerators(kind: str, numbers: list[int]) -> None:
    """Hides all accelerators of `kind` but those with these numbers."""
    present = tf.config.list_physical_devices(kind)
    if not present:
        raise InputError(
            f"device {kind.lower()}: TensorFlow sees none here; check the driver and that the extra `gpu` is "
            "installed (pip install 'ascendvsr[gpu]'), or say device cpu"
        )
    for number in numbers:
        if not 0 <= number < len(present):
            raise InputError(
                f"there is no {kind} {number} here: device_ids and rank_size ask for {numbers}, and the host "
                f"has {len(present)}, counted from 0"
            )
    chosen = [present[number] for number in numbers]
    tf.config.set_visible_devices(chosen, kind)
    if kind == "GPU":
        for gpu in chosen:
            tf.config.experimental.set_memory_growth(gpu, True)


def _open_npu_by_adapter(device_ids: Sequence[int], count: int) -> list[str]:
    """Opens one NPU through the vendor's module and makes it the default device."""
    if importlib.util.find_spec(_NPU_ADAPTER) is None:
        raise InputError(
            "device npu: TensorFlow has no device of type NPU and the vendor's adapter module "
            f"`{_NPU_ADAPTER}` is not installed; install the vendor's TensorFlow plug-in, or say device cpu"
        )
    if count > 1:
        raise InputError(
            f"the adapter module `{_NPU_ADAPTER}` drives one NPU in a process; rank_size {count} needs a "
            "TensorFlow plug-in that adds devices of type NPU"
        )
    importlib.import_module(_NPU_ADAPTER).open(device_ids[0]).as_default()
    return ["NPU:0"]
