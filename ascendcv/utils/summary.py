"""Numbers and pictures for TensorBoard from anywhere: `summary.scalar("attention/mean", x)` in a network's `call`.

They go to the run that is being trained or evaluated in this process, under its step. Where there is none, where
the backend is not TensorFlow and where XLA compiles, nothing happens. Inside of a `tf.function` they become a part
of its graph: the run has to be there when the function is traced.
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any


class Run:
    """What summaries go to: TensorFlow's `writer`, the step that they stand under, and whether it is one to write.

    Step and that choice are variables, which a graph that was traced before follows.
    """

    def __init__(self, folder: str | os.PathLike):
        import tensorflow as tf

        self.writer = tf.summary.create_file_writer(str(folder))
        self.step = tf.Variable(tf.constant(0, tf.int64), trainable=False)
        self.due = tf.Variable(True, trainable=False)
        self._wanted = True

    def go_to(self, step: int, due: bool = True) -> None:
        """What follows stands under this step; where it is not `due` it is left out."""
        self.step.assign(step)
        self._wanted = due
        self.due.assign(due)

    def pause(self) -> None:
        """Leaves out what follows, until `go_on`."""
        self.due.assign(False)

    def go_on(self) -> None:
        """What follows is written as `go_to` said last."""
        self.due.assign(self._wanted)


# Of the process: replicas are traced on threads of their own.
_run: Run | None = None


def start(folder: str | os.PathLike) -> Run:
    """Summaries go to `folder` from now on."""
    global _run
    _run = Run(folder)
    return _run


def end(run: Run) -> None:
    """Writes what is left, and nothing more."""
    global _run
    run.writer.close()
    if _run is run:
        _run = None


@contextlib.contextmanager
def writing_to(folder: str | os.PathLike) -> Iterator[Run]:
    """Inside the block, summaries go to `folder`."""
    run = start(folder)
    try:
        yield run
    finally:
        end(run)


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Inside the block, nothing is written: the network is used for something else than the step."""
    run = _run
    if run is not None:
        run.pause()
    try:
        yield
    finally:
        if run is not None:
            run.go_on()


def scalar(name: str, value: Any) -> None:
    """A number, under `name`, at the run's step."""
    if run := _current(value):
        import tensorflow as tf

        with _writing(run):
            tf.summary.scalar(name, value, step=run.step)


def images(name: str, frames: Any, most: int = 3) -> None:
    """The first `most` of frames [N, H, W, C] (1, 3 or 4 channels; floats in [0, 1], clipped, or uint8)."""
    if run := _current(frames):
        import tensorflow as tf

        frames = tf.convert_to_tensor(frames)
        if frames.dtype.is_floating:
            frames = tf.clip_by_value(tf.cast(frames, tf.float32), 0.0, 1.0)
        with _writing(run):
            tf.summary.image(name, frames, step=run.step, max_outputs=most)


@contextlib.contextmanager
def _writing(run: Run) -> Iterator[None]:
    """Inside the block TensorFlow's summaries go to the run, where one is due, under names that begin anew."""
    import tensorflow as tf

    # Inside of a model TensorFlow would put the names of its layers first.
    with run.writer.as_default(), tf.summary.record_if(run.due), tf.compat.v1.name_scope(None):
        yield


def _current(value: Any) -> Run | None:
    """The run to write this value to; None: there is none, or not here."""
    if _run is None:
        return None
    import keras
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow" or isinstance(value, keras.KerasTensor) or _in_xla():
        return None
    context = tf.distribute.get_replica_context()
    replica = context.replica_id_in_sync_group if context is not None else 0
    return None if isinstance(replica, int) and replica > 0 else _run


def _in_xla() -> bool:
    """Whether TensorFlow traces a function for XLA, as far as its version tells: its public interface does not."""
    import tensorflow as tf

    try:
        from tensorflow.python.ops.control_flow_util import GraphOrParentsInXlaContext
    except ImportError:
        return False
    return GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph())
