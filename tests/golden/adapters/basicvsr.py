"""BasicVSR: the whole network, its training step."""

import numpy as np

from tests.golden.case import Case
from tests.golden.gradients import gradient_summary, gradients, named_gradients
from tests.golden.layout import channels_first, channels_last
from tests.golden.record import recorded


def network(case: Case):
    """The case's BasicVSR with its weights."""
    from ascendvsr.models.basicvsr.network import BasicVSR
    from ascendvsr.weights.mapping import load_state_dict

    model = BasicVSR(**{name: case.config[name] for name in ("num_feat", "num_block") if name in case.config})
    load_state_dict(model, case.state_dict())
    return model


def basicvsr(case: Case) -> dict:
    model, clip = network(case), channels_last(case.frames("x"))
    y, calls = recorded(model, ["spynet", "backward_trunk", "forward_trunk"], clip)
    backward, forward = calls["backward_trunk"][::-1], calls["forward_trunk"]
    between = clip.shape[1] - 1
    inner = {"mid_feat_backward": backward, "mid_feat_forward": forward}
    if between:
        # The pass from the last frame to the first comes first.
        inner["mid_flows_backward"] = calls["spynet"][:between][::-1]
        inner["mid_flows_forward"] = calls["spynet"][between:]
    stacked = {name: channels_first(np.stack(frames, axis=1)) for name, frames in inner.items()}
    return stacked | {"y": channels_first(y)}


def train_step(case: Case) -> dict:
    """BasicSR's recipe: Charbonnier, mean over everything."""
    from keras import ops

    from ascendvsr.models.basicvsr.training import BasicVSRUpdates

    model = network(case)
    clip, truth = (channels_last(case.frames(name)) for name in ("x", "gt"))
    truth = ops.convert_to_tensor(truth)

    def loss(clip):
        value, _, _ = BasicVSRUpdates().loss(model, {"lq": clip, "gt": truth}, 0, ())
        return value

    value, _, found = gradients(loss, [clip], variables=model.trainable_variables)
    return {"loss": np.reshape(value, 1), **gradient_summary(case, named_gradients(model, found))}


ADAPTERS = {"basicvsr": {"BasicVSR": basicvsr, "BasicVSR_train_step": train_step}}
