"""What a network says of itself, free of Keras and TensorFlow: its card.

The folder of a network holds

    card.py       its `Card`, which `ascendvsr.models.CARDS` lists
    network.py    the Keras model and the layers that only it uses
    training.py   how it is trained: a subclass of `ascendvsr.models.training.Training`
    inputs.py     what its training reads and checks before TensorFlow starts
    weights.py    how its checkpoints are recognized

Nothing outside of the folder compares a network's name: it asks the card.
"""

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from yacs.config import CfgNode

from ascendcv.utils.setting import Tree
from ascendvsr.models.zoo import Record

Shapes = Mapping[str, tuple[int, ...]]
Kind = Literal["window", "clip", "recurrent", "flow"]

IMPLEMENTATIONS = ("auto", "tf", "fused", "npu")  # of operations: see `ascendcv.ops.registry`


@dataclass(frozen=True)
class Architecture:
    """A network as its checkpoint tells it: its title, the settings that make it, a description in a few words."""

    family: str
    settings: dict[str, object]
    summary: str


@dataclass(frozen=True)
class OtherNames:
    """How another program calls a network's weights.

    Attributes:
        mark: what some of its names begin with, and none of the official ones; '': there is no such program.
        rules: regular expression -> replacement, all of which are applied, in this order.
    """

    mark: str = ""
    rules: tuple[tuple[str, str], ...] = ()

    def official(self, name: str) -> str:
        """The official name of what that program calls `name`."""
        for pattern, replacement in self.rules:
            name = re.sub(pattern, replacement, name)
        return name


@dataclass(frozen=True)
class Card:
    """A network, as everything outside of its folder knows it.

    References to code that imports Keras are 'module:name', imported when they are used.

    Attributes:
        name: what `model.name` says.
        title: what messages call it.
        kind: how it eats time, and how it is called and exported.
            window: a window of frames, of which it restores one.
            clip: a whole clip, of which it restores every frame.
            recurrent: a window and a state, of which it restores one frame and gives the next state.
            flow: two frames, between which it estimates the motion; it restores nothing.
        network: the class of the network.
        arguments: configuration -> the constructor's arguments; raises `InputError` for impossible ones.
        detect: shapes of a checkpoint by name -> every network of this class that it could be of. A part of such a
            checkpoint raises KeyError with what is missing, impossible shapes any of IndexError, ValueError and
            ZeroDivisionError.
        aliases: other names that `model.name` may say.
        settings: the sections of settings that it adds.
        training: the subclass of `Training`; '': it cannot be trained alone.
        read_inputs: (configuration, whether the run begins rather than goes on) -> what `training` reads besides
            clips; raises `InputError` for what it cannot be trained on. Needs no Keras. '': nothing.
        reads_clips: whether it is trained on clips of frames; else what `read_inputs` gives has `samples`, their
            number, and `training` has the batches.
        updates_per_batch: configuration -> updates that a batch gives.
        channels: configuration -> channels of an input frame.
        scale: configuration -> by how much the output is larger than the input, as `model.scale` should say for
            training.
        smallest_tile: configuration -> the smallest side of a tile that is worth its time.
        restored_frame: configuration -> which frame of a training window is restored; None: the middle one.
        shares_frames: whether neighboring windows of a video share what `stream` of the network keeps.
        in_steps: for networks of whole clips: whether `in_steps` of the network gives its call in compiled steps,
            so that no graph grows with the clip.
        protocol: how its paper measures: a name of `ascendvsr.evaluation.protocols`, '' for the keys of `eval`.
        zoo: its published weights.
        other_names: how another program calls its weights.
        published_as: how its original keeps weights in a torch file: the key that they lie under ('': none) and the
            prefix of their names.
        mark: for flow networks: a name that each of its checkpoints has, and the shape of that tensor.
        renamed: for flow networks: what published names begin with -> what they begin with here.
        flow_name: for flow networks: what `ascendvsr flow --model` calls it.
        flow_prefixes: what the names of a flow network begin with inside this one's checkpoints.
    """

    name: str
    title: str
    kind: Kind
    network: str
    arguments: Callable[[CfgNode], dict[str, Any]]
    detect: Callable[[Shapes], Sequence[Architecture]]
    aliases: tuple[str, ...] = ()
    settings: Tree = field(default_factory=dict)
    training: str = ""
    read_inputs: str = ""
    reads_clips: bool = True
    updates_per_batch: Callable[[CfgNode], int] = lambda cfg: 1
    channels: Callable[[CfgNode], int] = lambda cfg: 3
    scale: Callable[[CfgNode], int] = lambda cfg: 1
    smallest_tile: Callable[[CfgNode], int] = lambda cfg: 1
    restored_frame: Callable[[CfgNode], int | None] = lambda cfg: None
    shares_frames: bool = False
    in_steps: bool = False
    protocol: str = ""
    zoo: tuple[Record, ...] = ()
    other_names: OtherNames = OtherNames()
    published_as: tuple[str, str] = ("", "")
    mark: tuple[str, tuple[int, ...]] = ("", ())
    renamed: Mapping[str, str] = field(default_factory=dict)
    flow_name: str = ""
    flow_prefixes: tuple[str, ...] = ()

    @property
    def restores(self) -> bool:
        """Whether it restores frames."""
        return self.kind != "flow"


def imported(reference: str) -> Any:
    """What a reference 'module:name' means."""
    module, name = reference.split(":")
    return getattr(importlib.import_module(module), name)
