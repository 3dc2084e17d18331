"""How CDVD-TSP is trained: one update per batch, on what all stages restore or on the last frame alone."""

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf
from keras import ops

from ascendcv.losses.hem import hem, random_pixels
from ascendcv.losses.l1 import l1
from ascendcv.losses.ms_ssim import ms_ssim
from ascendcv.runner.updates import Batch, Updates
from ascendvsr.models.cdvd_tsp.inputs import loss_weights
from ascendvsr.models.training import Training, psnr
from ascendvsr.weights.mapping import load_state_dict


class CDVDTSPUpdates(Updates):
    """The update on a batch {'lq': [B,T,h,w,3], 'gt': [B,T,h,w,3]}; see `ascendcv.runner.updates`.

    The loss is a weighted sum of terms, each the mean over the frames that it looks at. Reported are each term as
    'loss/l1', 'loss/hem', 'loss/ms_ssim', its part of every stage as 'loss/l1_stage1', ..., and of the last frame
    'psnr' (dB) and, where the loss has it, 'ms_ssim'.

    Args:
        weights: of the terms 'l1', 'hem' and 'ms_ssim' (1 - MS-SSIM); those of weight 0 are not computed.
        final_only: look at the last frame alone, instead of at all that every stage restores.
        chosen: ground truth [B,T,h,w,3] -> [B,h,w,1], the pixels that HEM counts besides the hardest.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        final_only: bool,
        chosen: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ):
        self.weights = {term: weight for term, weight in weights.items() if weight}
        self.final_only = final_only
        self.chosen = chosen or pixels_by_content

    def loss(
        self, model: keras.Model, batch: Batch, index: tf.Tensor, state: tuple[()]
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor], tuple[()]]:
        truth = ops.unstack(batch["gt"], batch["gt"].shape[1], axis=1)
        stages = model.stages(batch["lq"])
        # A stage restores what it was given, but for the first frame and the last.
        pairs = [(stage, truth[count:-count]) for count, stage in enumerate(stages, start=1)]
        (restored,), (middle,) = pairs[-1]
        report = {"psnr": ops.mean(psnr(restored, middle))}
        if self.final_only:
            pairs = pairs[-1:]

        # Frames side by side in the channels: HEM has one mask for all of a sample.
        pred, target = (
            ops.concatenate([frame for pair in pairs for frame in pair[side]], axis=-1) for side in (0, 1)
        )
        loss = 0.0
        for term, weight in self.weights.items():
            by_channel = self._by_channel(term, pred, target, batch["gt"])
            report[f"loss/{term}"] = value = ops.mean(by_channel)
            if term == "ms_ssim":
                report["ms_ssim"] = 1.0 - ops.mean(by_channel[-restored.shape[-1] :])
            loss = loss + weight * value
            begin = 0
            for number, (frames, _) in enumerate(pairs, start=1):
                end = begin + len(frames) * restored.shape[-1]
                if len(pairs) > 1:
                    report[f"loss/{term}_stage{number}"] = ops.mean(by_channel[begin:end])
                begin = end
        return loss, report, state

    def _by_channel(self, term: str, pred: tf.Tensor, target: tf.Tensor, truth: tf.Tensor) -> tf.Tensor:
        """A term of the loss [C], its mean over the samples and pixels of every channel."""
        if term == "ms_ssim":
            return 1.0 - ops.mean(ms_ssim(pred, target), axis=0)
        if term == "hem":
            values = hem(pred, target, self.chosen(truth), reduction="none")
        else:
            values = l1(pred, target, reduction="none")
        return ops.mean(values, axis=(0, 1, 2))


def pixels_by_content(truth: tf.Tensor) -> tf.Tensor:
    """[B,T,h,w,3] in [0, 1] -> [B,h,w,1] of zeros and ones: random pixels that follow from the frames alone.

    The same batch has the same pixels again, so that a resumed run needs to know nothing of the random numbers
    drawn before.
    """
    levels = tf.cast(tf.round(truth * 255.0), tf.int32)
    places = tf.reshape(tf.range(tf.size(levels)), tf.shape(levels))
    # Whole numbers, which wrap around: sums of them are the same in any order.
    seed = tf.stack([tf.reduce_sum(levels), tf.reduce_sum(levels * places)])
    batch, _, height, width, _ = truth.shape
    return random_pixels(tf.random.stateless_uniform((batch or tf.shape(truth)[0], height, width, 1), seed))


class CDVDTSPTraining(Training):
    """One update per batch, by the configuration's `cdvd_tsp.loss_*`."""

    target = "all"

    def updates(self) -> CDVDTSPUpdates:
        return CDVDTSPUpdates(loss_weights(self.cfg), self.cfg.cdvd_tsp.loss_on == "final")

    def initialize(self, model: keras.Model) -> None:
        """Loads the flow network's own weights from `cdvd_tsp.flow_checkpoint`."""
        if self.inputs is not None:
            load_state_dict(model.flow_net, self.inputs, source=self.cfg.cdvd_tsp.flow_checkpoint)
