"""The training loop of every network.

The trainer knows a model, what its updates are, an optimizer, a schedule, a strategy and hooks. All comfort
(log lines, files, pictures, validation, checkpoints) is in the hooks.
"""

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ascendcv.runner.hooks.hook import Hook, InEpochs
from ascendcv.runner.optimizers import Optimizer
from ascendcv.runner.precision import LossScale
from ascendcv.runner.schedules import Schedule
from ascendcv.runner.signals import STOP_SIGNALS, StopSignals
from ascendcv.runner.updates import Batch, Updates
from ascendcv.utils import summary
from ascendcv.utils.errors import InputError

logger = logging.getLogger(__name__)


class Trainer:
    """Trains `model` until `total_steps` updates are done.

    Args:
        model: its weights are float32; under mixed precision its layers compute in a narrower type.
        updates: the loss or losses of a batch.
        optimizer: holds the model's trainable variables and their slots.
        schedule: learning rate of update `step`, counted from 0.
        total_steps: number of updates.
        batches: (number of the first batch) -> the batches of this process from there on: dictionaries of
            tensors whose first axis the replicas of this process divide among themselves.
        strategy: the one in whose scope model and optimizer were made; None: one device.
        other_rates: step -> further rates of the optimizer that change: {'beta_1': ...}; None: none.
        steps_per_epoch: updates in one pass over the data; 0: there are no epochs.
        epochs_ahead: updates, of passes of this length, that the count of epochs is ahead of `step`: a run whose
            epochs had another length before it went on has done another number of them.
        active: step -> positions of the optimizer's variables that it updates; None: always all. A change of
            the answer traces the step again; variables that rest cost no gradient.
        ema_model: a second network, which receives the moving average of the weights.
        ema_decay: the decay of that average.
        clip_norm: largest global norm of a gradient, enforced after the replicas' are added up; 0: any.
        loss_scale: for float16; None: none.
        xla: compile the step; not with several replicas.
        accumulate: parts of a replica's batch that go through the network one after the other, their gradients
            added up: the same update to rounding, but for batch normalization, whose statistics are those of a
            part. 0: as many parts as the memory asks for in the first batch of this process.
        hooks: called in this order after each batch. Every worker needs those that may end training.

    Attributes:
        step: updates done, those included that were skipped because the loss or gradient was not finite.
        reports: scalars of each update on the last batch: 'loss', 'lr', 'gradient_norm', 'finite' (0 or 1)
            and what `updates` reports.
        batch: the last batch of this process.
        batch_seconds: the time that getting it and training on it took.
        scalars: numbers that hooks found out after the last batch, for the hooks that write.
        pictures: the same, of pictures ([H,W,3] uint8).
        parts: into how many a replica's batch is divided, see `accumulate`.
        stopped_by: the signal that ended training, or 0.
    """

    def __init__(
        self,
        model: keras.Model,
        updates: Updates,
        optimizer: Optimizer,
        schedule: Schedule,
        total_steps: int,
        batches: Callable[[int], Iterable[Batch]],
        *,
        strategy: tf.distribute.Strategy | None = None,
        other_rates: Callable[[int], Mapping[str, float]] | None = None,
        steps_per_epoch: int = 0,
        epochs_ahead: int = 0,
        active: Callable[[int], Sequence[int]] | None = None,
        ema_model: keras.Model | None = None,
        ema_decay: float = 0.999,
        clip_norm: float = 0.0,
        loss_scale: LossScale | None = None,
        xla: bool = False,
        accumulate: int = 1,
        hooks: Sequence[Hook] = (),
    ):
        self.model = model
        self.updates = updates
        self.optimizer = optimizer
        self.schedule = schedule
        self.total_steps = total_steps
        self.batches = batches
        self.strategy = strategy or tf.distribute.get_strategy()
        self.other_rates = other_rates or (lambda step: {})
        self.steps_per_epoch = steps_per_epoch
        self.epochs_ahead = epochs_ahead
        self.active = active or (lambda step: range(len(optimizer.variables)))
        self.ema_model = ema_model
        self.ema_decay = ema_decay
        self.clip_norm = clip_norm
        self.loss_scale = loss_scale or LossScale()
        self.hooks = list(hooks)
        self.parts = accumulate or 1
        self._may_split = accumulate == 0
        self.step = 0
        self.batch: Batch = {}
        self.reports: list[dict[str, float]] = []
        self.scalars: dict[str, float] = {}
        self.pictures: dict[str, np.ndarray] = {}
        self.batch_seconds = 0.0
        self.stopped_by = 0
        self.elapsed_before = 0.0
        self._started_at = time.perf_counter()
        self._replicas = self.strategy.num_replicas_in_sync
        self._local_replicas = len(self.strategy.extended.worker_devices) if self._replicas > 1 else 1
        if xla and self._replicas > 1:
            raise InputError("xla compiles for one device only")
        self._statistics = [v.value for v in model.non_trainable_variables if v.dtype.startswith("float")]
        graph = functools.partial(tf.function, jit_compile=xla, autograph=False)  # AutoGraph outlasts the trace
        self._start_batch = graph(self._start_on_replicas)
        self._start_sums = graph(self._zeros_on_replicas)
        self._add = graph(self._add_on_replicas)
        self._update = graph(self._update_on_replicas)

    @property
    def elapsed(self) -> float:
        """Seconds of training so far, those of the runs that this one continues included."""
        return self.elapsed_before + time.perf_counter() - self._started_at

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.epoch_step // self.steps_per_epoch if self.steps_per_epoch else 0

    @property
    def epoch_step(self) -> int:
        """Updates of all epochs so far, had they always been as long as now."""
        return self.step + self.epochs_ahead

    def fit(self) -> int:
        """Trains from the current step to the last. Returns the signal that ended it before that, or 0."""
        if self._sum_over_replicas(self.step) != self.step * self._replicas:
            raise InputError(
                "the workers do not go on from the same step: their checkpoints should be in one shared folder"
            )
        with StopSignals() as signals:
            self._started_at = time.perf_counter()
            for hook in self.hooks:
                hook.start(self)
            batches = iter(self.batches(self.epoch_step // self.updates.count))
            while self.step < self.total_steps and not self.stopped_by:
                begin = time.perf_counter()
                self.batch, self.scalars, self.pictures = next(batches), {}, {}
                self._train_on(self.batch, signals)
                self.batch_seconds = time.perf_counter() - begin
                with summary.paused():  # hooks use the network too
                    for hook in self.hooks:
                        hook.after_batch(self)
                if self._local_replicas == self._replicas:
                    self.stopped_by = signals.received  # no other worker has to learn of it first
            for hook in self.hooks:
                hook.end(self)
            self._sum_over_replicas(0)  # a worker that leaves while others still save takes them down
        return self.stopped_by

    def due(self, interval: int) -> bool:
        """Whether the last batch completed a multiple of `interval` updates or epochs. Never for 0."""
        step = self.step
        if isinstance(interval, InEpochs):
            step, interval = self.epoch_step, interval * self.steps_per_epoch
        return interval > 0 and step // interval > (step - len(self.reports)) // interval

    def _train_on(self, batch: Batch, signals: StopSignals) -> None:
        """All updates on a batch. Where its first one needs more memory than there is, it is divided further."""
        before = [tf.identity(statistic) for statistic in self._statistics] if self._may_split else []
        try:
            self._update_on(batch, signals)
        except tf.errors.ResourceExhaustedError:
            size = len(next(iter(batch.values()))) // self._local_replicas
            parts = next((count for count in range(self.parts + 1, size + 1) if size % count == 0), 0)
            alone = self._local_replicas == self._replicas  # other workers have not run out of memory
            if not (self._may_split and parts and alone) or self.reports:
                raise
            told = "The memory does not hold %d samples at once: gradients are accumulated from %d parts of %d"
            logger.warning(told, size, parts, size // parts)
            self.parts = parts
            for statistic, value in zip(self._statistics, before, strict=True):
                statistic.assign(value)
            self._train_on(batch, signals)
        self._may_split = False

    def _update_on(self, batch: Batch, signals: StopSignals) -> None:
        self.reports = []
        parts = self._distribute(batch)
        states = [self._start_batch(part) for part in parts]
        for index in range(min(self.updates.count, self.total_steps - self.step)):
            rate = self.schedule(self.step)
            for name, value in {"learning_rate": rate, **self.other_rates(self.step)}.items():
                self.optimizer.rates[name].assign(value)
            asked = tf.constant([float(signals.received == number) for number in STOP_SIGNALS])
            scale = tf.constant(self.loss_scale.value)
            active = tuple(self.active(self.step))
            with _without_remapper():
                report, asked = self._update_from(parts, tf.constant(index), states, scale, asked, active)
            self.reports.append({"lr": rate} | {name: float(scalar) for name, scalar in report.items()})
            self.loss_scale.update(self.reports[-1]["finite"] > 0)
            self.step += 1
            agreed = [number for number, count in zip(STOP_SIGNALS, asked.numpy(), strict=True) if count]
            self.stopped_by = agreed[0] if agreed else 0

    def _update_from(
        self,
        parts: Sequence[Batch],
        index: tf.Tensor,
        states: list[Any],
        scale: tf.Tensor,
        asked: tf.Tensor,
        active: tuple[int, ...],
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """One update from all parts of a batch; `states` become those after it."""
        *earlier, last = parts
        sums: tuple = ()
        if earlier:
            gradients, before = self._start_sums(active)
            scalars = []
            for number, part in enumerate(earlier):
                gradients, found, states[number] = self._add(part, index, states[number], scale, active, gradients)
                scalars.append(found)
            sums = gradients, scalars, before
        report, asked, states[-1] = self._update(last, index, states[-1], scale, asked, active, sums)
        return report, asked

    def _distribute(self, batch: Batch) -> list[Batch]:
        """The parts of the batch, each of which gives each replica of this process its own."""
        count = self._local_replicas * self.parts
        if count == 1:
            return [batch]
        divided = {name: tf.split(tensor, count) for name, tensor in batch.items()}

        def part(number: int, context: tf.distribute.ReplicaContext | None = None) -> Batch:
            replica = context.replica_id_in_sync_group % self._local_replicas if context else 0
            return {name: pieces[replica * self.parts + number] for name, pieces in divided.items()}

        if self._replicas == 1:
            return [part(number) for number in range(self.parts)]
        spread = self.strategy.experimental_distribute_values_from_function
        return [spread(functools.partial(part, number)) for number in range(self.parts)]

    def _start_on_replicas(self, batch: Batch) -> Any:
        return self.strategy.run(self.updates.start, args=(self.model, batch))

    def _zeros_on_replicas(self, active: tuple[int, ...]) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """What gradients are added to, and the statistics before they are found."""

        def zeros() -> tuple[list[tf.Tensor], list[tf.Tensor]]:
            variables = [self.optimizer.variables[position] for position in active]
            return [tf.zeros_like(v) for v in variables], [tf.identity(v) for v in self._statistics]

        return self.strategy.run(zeros)

    def _add_on_replicas(
        self,
        batch: Batch,
        index: tf.Tensor,
        state: Any,
        scale: tf.Tensor,
        active: tuple[int, ...],
        gradients: list[tf.Tensor],
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor], Any]:
        """`gradients` with those of a part of the batch, each replica its own; what to report; the next state."""

        def add(batch, index, state, scale, gradients):
            found, scalars, state = self._own_gradients(batch, index, state, scale, active)
            return [total + gradient for total, gradient in zip(gradients, found, strict=True)], scalars, state

        return self.strategy.run(add, args=(batch, index, state, scale, gradients))

    def _update_on_replicas(
        self,
        batch: Batch,
        index: tf.Tensor,
        state: Any,
        scale: tf.Tensor,
        asked: tf.Tensor,
        active: tuple[int, ...],
        sums: tuple,
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, Any]:
        """One update: gradients on each replica, then the same assignments on all.

        `sums`: of the earlier parts of the batch the gradients, the list of what there is to report, and the
        statistics before; (): the batch is one part.
        """
        arguments = (batch, index, state, scale, asked, active, sums)
        gradients, factors, report, finite, before, asked, state = self.strategy.run(
            self._gradients, args=arguments
        )
        self.optimizer.apply(dict(zip(active, gradients, strict=True)), factors, finite)
        update = self.strategy.extended.update
        for statistic, old in zip(self._statistics, before, strict=True):
            update(statistic, _keep_if_finite, args=(old, finite), group=False)
        if self.ema_model is not None:
            for average, variable in zip(self.ema_model.variables, self.model.variables, strict=True):
                decay = self.ema_decay if variable.trainable else 0.0
                update(average.value, _average, args=(variable.value, decay, finite), group=False)
        report, asked = tf.nest.map_structure(self._first_local, (report, asked))
        return report, asked, state

    def _first_local(self, values: Any) -> tf.Tensor:
        """What the first replica of this process has."""
        return self.strategy.experimental_local_results(values)[0]

    def _gradients(
        self,
        batch: Batch,
        index: tf.Tensor,
        state: Any,
        scale: tf.Tensor,
        asked: tf.Tensor,
        active: tuple[int, ...],
        sums: tuple,
    ):
        """On a replica: the gradients of the global batch's loss, clipped, and what to report of them."""
        earlier, reported, before = sums or ([], [], [tf.identity(statistic) for statistic in self._statistics])
        gradients, scalars, state = self._own_gradients(batch, index, state, scale, active)
        if sums:
            gradients = [total + gradient for total, gradient in zip(earlier, gradients, strict=True)]
            scalars = {name: tf.add_n([part[name] for part in reported] + [scalars[name]]) for name in scalars}
        names = list(scalars)
        scalars = tf.concat([tf.stack([scalars[name] for name in names]), asked], axis=0)
        if self._replicas > 1:
            context = tf.distribute.get_replica_context()
            gradients, scalars = context.all_reduce(tf.distribute.ReduceOp.SUM, (gradients, scalars))
        count = self._replicas * (1 + len(reported))
        parts = count if self.updates.reduction == "mean" else 1
        loss, *totals = tf.unstack(scalars[: len(names)])
        loss = loss / parts
        gradients = [gradient / (scale * parts) for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(norm) & tf.math.is_finite(loss)
        if self.clip_norm:
            factor = tf.minimum(1.0, self.clip_norm / (norm + 1e-6))
            gradients = [gradient * factor for gradient in gradients]
        report = {name: total / count for name, total in zip(names[1:], totals, strict=True)}
        report |= {"loss": loss, "gradient_norm": norm, "finite": tf.cast(finite, tf.float32)}
        return gradients, self.optimizer.factors(), report, finite, before, scalars[-len(STOP_SIGNALS) :], state

    def _own_gradients(
        self, batch: Batch, index: tf.Tensor, state: Any, scale: tf.Tensor, active: tuple[int, ...]
    ) -> tuple[list[tf.Tensor], dict[str, tf.Tensor], Any]:
        """On a replica: gradients of its own scaled loss, {'loss': ..., what else to report}, the next state."""
        variables = [self.optimizer.variables[position] for position in active]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss, metrics, state = self.updates.loss(self.model, batch, index, state)
            scaled = loss * scale
        gradients = tape.gradient(scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return gradients, {"loss": loss} | metrics, tf.nest.map_structure(tf.stop_gradient, state)

    def _sum_over_replicas(self, number: float) -> float:
        """The sum of what all replicas have; no worker gets past it before all have come here."""

        @tf.function(autograph=False)
        def add() -> tf.Tensor:
            def all_reduce() -> tf.Tensor:
                context = tf.distribute.get_replica_context()
                return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.constant(number, tf.float64))

            return self._first_local(self.strategy.run(all_reduce))

        return float(add()) if self._replicas > 1 else number


@contextlib.contextmanager
def _without_remapper() -> Iterator[None]:
    """TensorFlow's fusion of convolutions with activations fails on gradients of leaky ReLU, and says so.

    Seen in 2.21. Graphs for inference, which it makes faster, keep it.
    """
    options = tf.config.optimizer
    before = options.get_experimental_options().get("remapping", True)
    options.set_experimental_options({"remapping": False})
    try:
        yield
    finally:
        options.set_experimental_options({"remapping": before})


def _keep_if_finite(variable: tf.Variable, old: tf.Tensor, finite: tf.Tensor) -> None:
    variable.assign(tf.where(finite, variable, old))


def _average(average: tf.Variable, variable: tf.Variable, decay: float, finite: tf.Tensor) -> None:
    if average.dtype.is_floating:
        average.assign(tf.where(finite, average * decay + variable * (1 - decay), average))
