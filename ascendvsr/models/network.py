"""What all networks are to Keras: models that are saved, connected and exported as any other."""

import os
from typing import Any

import keras

from ascendvsr.models.presets import Pretrained

Shape = tuple[int | None, ...]


class Network(Pretrained, keras.Model):
    """A network that restores frames.

    All of its weights are there once it is made, and a symbolic call takes no time: it computes shapes alone.

    Attributes:
        time: 'window', 'clip' or 'recurrent': see `ascendvsr.models.card.Card`.
        scale: by how much the output is larger than the input.
        in_channels, out_channels: of frames.
        num_frame: frames of a window; networks of clips have none.
        size, size_multiple: 'crop' cuts the sides of frames to multiples of `size_multiple`.
    """

    time = "window"
    scale = 1
    in_channels = 3
    out_channels = 3
    size = "pad"
    size_multiple = 1

    def __call__(self, clip, *arguments, **keywords):
        restored = super().__call__(clip, *arguments, **keywords)
        self._last_length = clip.shape[1]
        return restored

    def compute_output_shape(self, clip_shape: Shape) -> Shape:
        """[N, T, H, W, C] -> [N, H', W', C'], with T in between where all frames are restored."""
        batch, length, *sides, _ = clip_shape
        if self.size == "crop":
            sides = [side and side // self.size_multiple * self.size_multiple for side in sides]
        sides = [side and side * self.scale for side in sides]
        frames = () if self.time == "window" else (length,)
        return (batch, *frames, *sides, self.out_channels)

    def compute_output_spec(self, clip, training=None) -> keras.KerasTensor:
        """What a symbolic call gives: the shape, in the dtype of the frames."""
        return keras.KerasTensor(self.compute_output_shape(clip.shape), keras.backend.standardize_dtype(clip.dtype))

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """As `keras.Model.export`; the network need not have been called.

        Batch, height and width are free. Networks of clips and recurrent ones need a number of frames: that of
        their last call, unless `input_signature` says another. Raises `ValueError` where neither is known.
        """
        if input_signature is None:
            length = self.num_frame if self.time == "window" else getattr(self, "_last_length", None)
            if length is None:
                raise ValueError(
                    f"graphs of {type(self).__name__} have a number of frames: call the network once, or say it "
                    f"by input_signature=[keras.InputSpec(shape=(None, 7, None, None, {self.in_channels}))]"
                )
            frames = keras.InputSpec(shape=(None, length, None, None, self.in_channels), dtype="float32")
            input_signature = [frames]
        super().export(filepath, format, verbose, input_signature, **options)


class FlowNetwork(Pretrained, keras.Model):
    """A network that estimates the motion between two frames: `call((reference, supporting))` -> flow."""

    def compute_output_shape(self, frames_shape: tuple[Shape, Shape]) -> Shape:
        """Twice [N, H, W, C] -> [N, H, W, 2]."""
        return (*frames_shape[0][:3], 2)

    def compute_output_spec(self, frames, training=None) -> keras.KerasTensor:
        """What a symbolic call gives: the shape of the flow, in float32 at least."""
        shape = self.compute_output_shape([frame.shape for frame in frames])
        return keras.KerasTensor(shape, "float64" if self.compute_dtype == "float64" else "float32")

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """As `keras.Model.export`; the network need not have been called. Batch, height and width are free."""
        if input_signature is None:
            frame = keras.InputSpec(shape=(None, None, None, 3), dtype="float32")
            input_signature = [(frame, frame)]
        super().export(filepath, format, verbose, input_signature, **options)
