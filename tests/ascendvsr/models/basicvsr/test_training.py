"""BasicVSR's updates: the loss over all frames, SpyNet that learns later, what is checked first; short runs."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ascendcv.dataloader.degrade import imresize
from ascendcv.utils.errors import InputError
from ascendvsr.config import load_config
from ascendvsr.models.basicvsr.network import BasicVSR
from ascendvsr.models.basicvsr.training import BasicVSRTraining
from ascendvsr.models.flow.spynet import SpyNet
from ascendvsr.training.groups import make_groups
from ascendvsr.weights import load_checkpoint, load_weights, save_weights, state_dict
from tests.ascendvsr.models.clips import clip_of, shaken
from tests.ascendvsr.models.training_parts import inputs_of, training_of

TINY = {"model.name": "BasicVSR", "model.num_frames": 3, "basicvsr.num_feat": 4, "basicvsr.num_block": 1}


@pytest.fixture
def batch() -> dict[str, tf.Tensor]:
    rng = np.random.default_rng(0)
    lq = tf.constant(rng.random((2, 3, 36, 34, 3)), tf.float32)
    return {"lq": lq, "gt": tf.repeat(tf.repeat(lq, 4, axis=2), 4, axis=3)}


@pytest.fixture
def spynet_file(tmp_path: Path) -> Path:
    keras.utils.set_random_seed(9)
    path = tmp_path / "spynet.weights.h5"
    save_weights(shaken(SpyNet()), path)
    return path


def network() -> BasicVSR:
    keras.utils.set_random_seed(5)
    return BasicVSR(num_feat=4, num_block=1)


def test_the_loss_is_charbonnier_s_mean_over_all_frames(batch):
    model, training = network(), BasicVSRTraining(load_config(settings=TINY))
    updates = training.updates()
    loss, report, state = updates.loss(model, batch, tf.constant(0), updates.start(model, batch))
    difference = model(batch["lq"]).numpy().astype(np.float64) - batch["gt"].numpy()
    assert float(loss) == pytest.approx(np.sqrt(difference**2 + 1e-12).mean(), rel=1e-5)
    assert 5 < float(report["psnr"]) < 40
    assert (state, updates.count, updates.reduction, training.target) == ((), 1, "mean", "all")


def test_a_graph_of_steps_gives_the_same_loss_and_gradients(batch):
    model = shaken(network(), 0.02)
    variables = [variable.value for variable in model.trainable_variables]

    def step():
        with tf.GradientTape() as tape:
            loss, _, _ = (
                BasicVSRTraining(load_config(settings=TINY)).updates().loss(model, batch, tf.constant(0), ())
            )
        return loss, tape.gradient(loss, variables)

    loss, gradients = step()
    loss_in_graph, gradients_in_graph = tf.function(step, autograph=False)()
    np.testing.assert_allclose(loss_in_graph, loss, rtol=1e-5)
    for one, other in zip(gradients_in_graph, gradients, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4 * max(1e-3, float(np.abs(other).max())))


def test_spynet_learns_from_step_5000_at_an_eighth_of_the_rate():
    cfg = load_config("basicvsr/basicvsr_x4_reds", settings=TINY | {"basicvsr.spynet_checkpoint": ""})
    names = list(state_dict(network()))
    groups = make_groups(names, BasicVSRTraining(cfg).param_groups())
    for name, factor, until in zip(names, groups.lr_factors, groups.freeze_until, strict=True):
        assert (factor, until) == ((0.125, 5000) if name.startswith("spynet.") else (1.0, 0)), name


@pytest.mark.parametrize("inside", [False, True])
def test_spynet_begins_with_the_weights_of_a_file(spynet_file, tmp_path, inside):
    expected = SpyNet()
    load_weights(expected, spynet_file)
    if inside:
        donor = network()
        load_weights(donor.spynet, spynet_file)
        spynet_file = tmp_path / "donor.weights.h5"
        save_weights(donor, spynet_file)
    cfg = load_config(settings=TINY | {"basicvsr.spynet_checkpoint": str(spynet_file)})
    model = network()
    training_of(cfg).initialize(model)
    for name, array in state_dict(expected).items():
        np.testing.assert_array_equal(state_dict(model.spynet)[name], array)


def test_a_run_that_goes_on_reads_no_spynet():
    cfg = load_config(settings=TINY | {"basicvsr.spynet_checkpoint": "gone.pth"})
    assert inputs_of(cfg, begins=False) is None


def test_an_untrained_spynet_that_would_stay_so_is_refused():
    with pytest.raises(InputError, match=r"SpyNet keeps its weights until step 5000, and it has none"):
        inputs_of(load_config(settings=TINY))
    assert inputs_of(load_config(settings=TINY | {"basicvsr.fix_flow": 0})) is None


def test_weights_of_another_flow_network_are_refused(tmp_path):
    from ascendvsr.models import PWCNet

    path = tmp_path / "pwcnet.weights.h5"
    save_weights(PWCNet(), path)
    cfg = load_config(settings=TINY | {"basicvsr.spynet_checkpoint": str(path)})
    with pytest.raises(InputError, match=r"spynet_checkpoint .*pwcnet\.weights\.h5 is PWC-Net of CDVD-TSP"):
        inputs_of(cfg)


def test_another_scale_is_refused():
    with pytest.raises(InputError, match=r"model\.scale of BasicVSR should be 4, not 2"):
        inputs_of(load_config(settings=TINY | {"model.scale": 2}))


@pytest.mark.parametrize(
    ("name", "frames", "mirror"), [("reds", 15, False), ("vimeo90k_bi", 14, True), ("vimeo90k_bd", 14, True)]
)
def test_the_recipes_are_the_published_ones(name, frames, mirror):
    cfg = load_config(f"basicvsr/basicvsr_x4_{name}")
    assert (cfg.model.num_frames, cfg.data.mirror, cfg.data.global_batch_size) == (frames, mirror, 8)
    schedule, optimizer = cfg.solver.lr_schedule, cfg.solver.optimizer
    assert (schedule.type, schedule.base_lr, schedule.min_lr) == ("CosineAnnealingRestart", 2e-4, 1e-7)
    assert schedule.total_steps == [300_000]
    assert (optimizer.type, optimizer.beta_1, optimizer.beta_2) == ("Adam", 0.9, 0.99)
    assert (cfg.basicvsr.fix_flow, cfg.basicvsr.flow_lr_mul) == (5000, 0.125)
    assert list(cfg.data.train_in_size) == [64, 64]


@pytest.mark.slow
def test_steps_lower_the_loss_of_what_they_see(photograph):
    truth = clip_of(photograph, frames=2, height=144, width=144)
    lq = np.stack([[imresize(frame, 0.25) for frame in clip] for clip in truth])
    batch = {"lq": tf.constant(lq, tf.float32), "gt": tf.constant(truth)}
    model, optimizer = network(), keras.optimizers.Adam(2e-3)
    updates = BasicVSRTraining(load_config(settings=TINY)).updates()

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss, _, _ = updates.loss(model, batch, tf.constant(0), ())
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    optimizer.build(model.trainable_variables)
    losses = [float(step()) for _ in range(30)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_run_leaves_spynet_as_it_is_at_first(sample, spynet_file, ascendvsr, tmp_path):
    settings = TINY | {
        "basicvsr.spynet_checkpoint": spynet_file,
        "data.data_dir": sample,
        "data.train_in_size": "[33, 33]",
        "data.train_batch_size": 1,
        "data.train_data_queue_size": 2,
        "solver.lr_schedule.total_steps": "[3]",
        "solver.lr_schedule.restart_weights": "[1]",
        "solver.print_interval": 1,
    }
    result = ascendvsr("train", *(word for pair in settings.items() for word in pair))
    assert result.returncode == 0, result.stderr
    trained, spynet = load_checkpoint(tmp_path / "outputs"), load_checkpoint(spynet_file)
    for name, array in spynet.items():
        np.testing.assert_array_equal(trained[f"spynet.{name}"], array)
    assert np.any(trained["forward_trunk.main.2.0.conv1.bias"] != 0)  # where it begins
