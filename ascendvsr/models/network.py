"""What all networks are to Keras: models that are saved, connected and exported as any other."""

import os
from typing import Any

import keras

from ascendvsr.models.presets import Pretrained

Shape = tuple[int | None, ...]

# What `ascendvsr.deployment` writes, with the operations that the runtimes have ready.
_OWN_FORMATS = ("onnx", "openvino", "litert")


class _Exported(Pretrained, keras.Model):
    """What both kinds of networks share."""

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **options: Any,
    ) -> None:
        """As `keras.Model.export`; the network need not have been called, and TensorFlow is the backend.

        A SavedModel takes any batch, height and width, unless `input_signature` says otherwise. 'onnx', 'openvino'
        and 'litert' are written by `ascendvsr.deployment.export.export_model`, which proves that the file gives the
        network's values, and takes the `options`.

        Graphs of networks of clips and of recurrent ones have a number of frames: that of their last call, or of
        `input_signature`. Raises `ValueError` where neither is known.
        """
        if input_signature is None:
            input_signature = self._input_signature()
        if format not in _OWN_FORMATS:
            super().export(filepath, format, verbose, input_signature, **options)
            return
        from ascendvsr.deployment.export import export_model

        batch, *_, height, width, _ = keras.tree.flatten(input_signature)[0].shape
        size = None if None in (height, width) else (height, width)
        export_model(
            self, filepath, format, size=size, batch=batch, num_frames=self._length_of(input_signature), **options
        )


class Network(_Exported):
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
        self._check_window(tuple(clip.shape))
        restored = super().__call__(clip, *arguments, **keywords)
        self._last_length = clip.shape[1]
        return restored

    def _check_window(self, shape: Shape) -> None:
        """Raises `ValueError` where `shape` is not [N, T, H, W, C], or T is not that of the windows."""
        if len(shape) != 5:
            raise ValueError(f"{type(self).__name__} takes frames [N, T, H, W, C], not a tensor of shape {shape}")
        if self.time == "window" and shape[1] not in (None, self.num_frame):
            raise ValueError(
                f"this {type(self).__name__} restores one of num_frame={self.num_frame} frames, and a tensor of "
                f"shape {shape} has {shape[1]}: give it windows, or the whole clip to ascendvsr.restore"
            )

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

    def _input_signature(self) -> list:
        length = self.num_frame if self.time == "window" else getattr(self, "_last_length", None)
        if length is None:
            raise ValueError(
                f"graphs of {type(self).__name__} have a number of frames: call the network once, or say it "
                f"by input_signature=[keras.InputSpec(shape=(None, 7, None, None, {self.in_channels}))]"
            )
        return [keras.InputSpec(shape=(None, length, None, None, self.in_channels), dtype="float32")]

    def _length_of(self, input_signature: list) -> int | None:
        return input_signature[0].shape[1] if self.time == "clip" else None


class FlowNetwork(_Exported):
    """A network that estimates the motion between two frames: `call((reference, supporting))` -> flow."""

    def compute_output_shape(self, frames_shape: tuple[Shape, Shape]) -> Shape:
        """Twice [N, H, W, C] -> [N, H, W, 2]."""
        return (*frames_shape[0][:3], 2)

    def compute_output_spec(self, frames, training=None) -> keras.KerasTensor:
        """What a symbolic call gives: the shape of the flow, in float32 at least."""
        reference, supporting = frames
        shape = self.compute_output_shape((reference.shape, supporting.shape))
        return keras.KerasTensor(shape, "float64" if self.compute_dtype == "float64" else "float32")

    def _input_signature(self) -> list:
        frame = keras.InputSpec(shape=(None, None, None, 3), dtype="float32")
        return [(frame, frame)]

    def _length_of(self, input_signature: list) -> None:
        return None
