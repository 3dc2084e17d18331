"""Clips made of still photographs, as training data: a camera moves over one, cut-outs of others pass in front.

A clip is a `Scene`: layers of photographs, from the back to the front, each with a motion of its own (parallax).
What a scene is, is drawn from a random generator; what it shows at a moment is a function of the scene alone. So a
clip is a function of its seed, whatever is rendered before it or beside it.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw


@dataclass(frozen=True)
class Motion:
    """Where a point is on the frame over time (frames, 0 is the middle of the clip), in frame pixels.

    It passes `start` at the time 0 with `velocity` (pixels per frame) and `acceleration`, and swings about this
    path by `shake` pixels with `shake_rate` radians per frame, as in an unsteady hand. All are (x, y).
    """

    start: tuple[float, float]
    velocity: tuple[float, float] = (0.0, 0.0)
    acceleration: tuple[float, float] = (0.0, 0.0)
    shake: tuple[float, float] = (0.0, 0.0)
    shake_rate: tuple[float, float] = (0.0, 0.0)
    shake_phase: tuple[float, float] = (0.0, 0.0)

    def at(self, time: float) -> tuple[float, float]:
        x, y = (
            self.start[axis]
            + self.velocity[axis] * time
            + self.acceleration[axis] * time**2 / 2
            + self.shake[axis] * math.sin(self.shake_rate[axis] * time + self.shake_phase[axis])
            for axis in (0, 1)
        )
        return x, y


@dataclass(frozen=True)
class Layer:
    """A photograph in motion.

    The photograph's point `anchor` (x, y in its pixels) is on the frame where `motion` says. A frame pixel is
    `zoom` photograph pixels wide at the time 0 and grows by the factor exp(`zoom_rate`) per frame; the frame lies
    on the photograph turned by `angle` degrees and `turn_rate` degrees per frame. With `outline`, corners of a
    polygon [corners, 2] relative to the anchor in frame pixels at the time 0, only what is inside it is seen.
    """

    picture: int
    anchor: tuple[float, float]
    motion: Motion
    zoom: float
    zoom_rate: float = 0.0
    angle: float = 0.0
    turn_rate: float = 0.0
    outline: np.ndarray | None = None

    def turned(self, time: float) -> float:
        """The angle at a time, in radians."""
        return math.radians(self.angle + self.turn_rate * time)


@dataclass(frozen=True)
class Scene:
    """Layers from the back to the front; the first has no outline."""

    layers: tuple[Layer, ...]


def draw_scene(
    generator: np.random.Generator,
    sizes: Sequence[tuple[int, int]],
    frame_size: tuple[int, int],
    times: tuple[float, float],
    *,
    max_speed: float = 20.0,
    max_zoom: float = 3.0,
) -> Scene:
    """A scene at random.

    Args:
        sizes: (width, height) of the photographs to choose from, in pixels.
        frame_size: (width, height) of the frames.
        times: the first and the last moment that will be rendered: the background covers the frame in between.
        max_speed: of the camera and of what passes in front, in frame pixels per frame. Speeds from a quarter of a
            pixel up to it are equally likely on a logarithmic scale.
        max_zoom: photograph pixels that a frame pixel may be wide, from 1.
    """
    camera = _draw_motion(generator, (frame_size[0] / 2, frame_size[1] / 2), max_speed)
    still = generator.random() < 0.1
    turning = generator.random() < 0.5
    background = Layer(
        picture=int(generator.integers(len(sizes))),
        anchor=(0.0, 0.0),
        motion=Motion(camera.start) if still else camera,
        zoom=float(np.exp(generator.uniform(0, math.log(max_zoom)))),
        zoom_rate=float(generator.normal(0, 0.01)) if turning else 0.0,
        angle=float(generator.normal(0, 5)),
        turn_rate=float(generator.normal(0, 0.6)) if turning else 0.0,
    )
    layers = [_placed(background, generator, sizes[background.picture], frame_size, times)]
    for _ in range(generator.choice(4, p=(0.4, 0.3, 0.2, 0.1))):
        layers.append(_draw_cut_out(generator, sizes, frame_size, layers[0], max_speed, max_zoom))
    return Scene(tuple(layers))


def render(
    scene: Scene,
    photographs: Sequence[Image.Image],
    frame_size: tuple[int, int],
    moments: Sequence[float],
    supersampling: int = 2,
) -> np.ndarray:
    """[height, width, 3] uint8: what is seen of a scene at one moment, or the mean of several (an exposure).

    Args:
        scene: its layers name `photographs` by their place.
        frame_size: (width, height).
        moments: times; the mean is of 8-bit values, as blurred frames of the published sets are.
        supersampling: frames are rendered this much larger and reduced: sharp, smooth at edges, hardly aliased.
            1 is four times as fast, and good enough for photographs that are not zoomed out of.
    """
    canvas_size = (frame_size[0] * supersampling, frame_size[1] * supersampling)
    mean = np.mean([_view(scene, photographs, canvas_size, moment, supersampling) for moment in moments], axis=0)
    canvas = Image.fromarray(np.rint(mean).astype(np.uint8))
    return np.asarray(canvas.resize(frame_size, Image.Resampling.LANCZOS))


def _view(
    scene: Scene, photographs: Sequence[Image.Image], size: tuple[int, int], time: float, supersampling: int
) -> np.ndarray:
    canvas = None
    for layer in scene.layers:
        shown = _warped(photographs[layer.picture], layer, size, time, supersampling)
        if canvas is None or layer.outline is None:
            canvas = shown
            continue
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon(_corners(layer, layer.outline, time, supersampling), fill=255)
        canvas.paste(shown, mask=mask)
    return np.asarray(canvas)


def _warped(
    photograph: Image.Image, layer: Layer, size: tuple[int, int], time: float, supersampling: int
) -> Image.Image:
    """The layer's whole photograph as it lies at a time on a canvas of `size`."""
    step = layer.zoom * math.exp(layer.zoom_rate * time) / supersampling  # photograph pixels per canvas pixel
    cosine, sine = step * math.cos(layer.turned(time)), step * math.sin(layer.turned(time))
    x, y = (supersampling * position for position in layer.motion.at(time))
    matrix = (
        *(cosine, -sine, layer.anchor[0] - cosine * x + sine * y),
        *(sine, cosine, layer.anchor[1] - sine * x - cosine * y),
    )
    return photograph.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)


def _corners(layer: Layer, outline: np.ndarray, time: float, supersampling: int) -> list[tuple[float, float]]:
    """The outline's corners on the canvas. It turns and grows as the photograph in it does."""
    turned, first = layer.turned(time), layer.turned(0.0)
    cosine, sine = math.cos(turned - first), math.sin(turned - first)
    # Of a point p of the photograph the place on the frame is motion + R(-angle) (p - anchor) / zoom.
    rotation = np.array(((cosine, sine), (-sine, cosine))) * math.exp(-layer.zoom_rate * time)
    corners = (np.array(layer.motion.at(time)) + outline @ rotation.T) * supersampling
    return [_pair(corner) for corner in corners]


def _draw_motion(
    generator: np.random.Generator, start: tuple[float, float], max_speed: float, shaken: bool = True
) -> Motion:
    speed = math.exp(generator.uniform(math.log(0.25), math.log(max_speed)))
    direction = generator.uniform(0, 2 * math.pi)
    velocity = (speed * math.cos(direction), speed * math.sin(direction))
    acceleration = generator.normal(0, 0.15 * speed, 2)
    shake = np.abs(generator.normal(0, 1.0, 2)) * (shaken and generator.random() < 0.5)
    rate, phase = generator.uniform(0.5, 3, 2), generator.uniform(0, 2 * math.pi, 2)
    return Motion(start, velocity, *(_pair(drawn) for drawn in (acceleration, shake, rate, phase)))


def _draw_cut_out(
    generator: np.random.Generator,
    sizes: Sequence[tuple[int, int]],
    frame_size: tuple[int, int],
    background: Layer,
    max_speed: float,
    max_zoom: float,
) -> Layer:
    """A piece of a photograph in front: it moves with the camera, faster than the background, or by itself."""
    start = _pair(generator.uniform(0, side) for side in frame_size)
    motion = _draw_motion(generator, start, max_speed, shaken=False)
    if generator.random() < 0.6:
        nearer = float(generator.uniform(1.05, 2))
        camera = background.motion
        motion = Motion(
            start,
            _pair(nearer * v for v in camera.velocity),
            _pair(nearer * a for a in camera.acceleration),
            _pair(nearer * s for s in camera.shake),
            camera.shake_rate,
            camera.shake_phase,
        )
    picture = int(generator.integers(len(sizes)))
    width, height = sizes[picture]
    radius = float(generator.uniform(0.08, 0.4)) * min(frame_size)
    zoom = min(float(np.exp(generator.uniform(0, math.log(max_zoom)))), min(width, height) / 4 / radius)
    margin = 1.8 * radius * zoom  # the outline and what its growth shows lie in the photograph
    return Layer(
        picture=picture,
        anchor=_pair(generator.uniform(margin, side - margin) for side in (width, height)),
        motion=motion,
        zoom=zoom,
        zoom_rate=background.zoom_rate,
        angle=float(generator.uniform(0, 360)),
        turn_rate=float(generator.normal(0, 2)) if generator.random() < 0.3 else background.turn_rate,
        outline=_draw_outline(generator, radius),
    )


def _draw_outline(generator: np.random.Generator, radius: float) -> np.ndarray:
    """[corners, 2]: a polygon of three to seven corners, or as often a smooth blob."""
    if generator.random() < 0.5:
        angles = np.sort(generator.uniform(0, 2 * math.pi, generator.integers(3, 8)))
        radii = radius * generator.uniform(0.4, 1.2, angles.size)
    else:
        angles = np.linspace(0, 2 * math.pi, 60, endpoint=False)
        order = np.arange(2, 6)
        waves = np.cos(np.outer(angles, order) + generator.uniform(0, 2 * math.pi, order.size))
        radii = radius * np.clip(1 + waves @ (generator.normal(0, 0.25, order.size) / np.sqrt(order)), 0.2, 1.5)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _placed(
    layer: Layer,
    generator: np.random.Generator,
    size: tuple[int, int],
    frame_size: tuple[int, int],
    times: tuple[float, float],
) -> Layer:
    """The layer with an anchor, its zoom reduced as far as needed, so that its photograph fills the frame."""
    seen = np.concatenate([_seen(layer, frame_size, time) for time in np.linspace(*times, 17)])
    low, high = seen.min(axis=0), seen.max(axis=0)
    border = 4.0  # what the interpolation reaches beyond, and moments in between
    shrink = min(1.0, *((side - 2 * border) / extent for side, extent in zip(size, high - low, strict=True)))
    lowest, highest = border - low * shrink, np.array(size) - border - high * shrink
    anchor = generator.uniform(lowest, np.maximum(lowest, highest))
    return dataclasses.replace(layer, anchor=_pair(anchor), zoom=layer.zoom * shrink)


def _seen(layer: Layer, frame_size: tuple[int, int], time: float) -> np.ndarray:
    """[4, 2]: the photograph's points at the frame's corners, relative to the anchor."""
    corners = np.array([(x, y) for x in (0, frame_size[0]) for y in (0, frame_size[1])], float)
    turned = layer.turned(time)
    rotation = np.array(((math.cos(turned), -math.sin(turned)), (math.sin(turned), math.cos(turned))))
    return (corners - layer.motion.at(time)) @ rotation.T * layer.zoom * math.exp(layer.zoom_rate * time)


def _pair(values: Iterable[float]) -> tuple[float, float]:
    x, y = map(float, values)
    return x, y
