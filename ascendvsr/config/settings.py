"""The settings that every network has. Those of a single network stand in its card, `ascendvsr/models/*/card.py`.

Keys that the TensorFlow EDVR release had keep their names and meaning.
"""

import math

from ascendcv.utils.setting import flag, integer, listing, name, number, path, record, text, word

_MAIN = {
    "mode": text("", "the command; `ascendvsr COMMAND` sets it"),
    "device": word("auto", "what computes", ("auto", "cpu", "gpu", "npu")),
    "device_ids": listing(
        [0], "which devices of this host", integer(0, "a device's number", high=4095), shortest=1
    ),
    "rank_size": integer(1, "number of devices; on CPUs: logical devices or local processes", low=1, high=1024),
    "root_rank": integer(0, "the worker that logs and saves"),
    "cluster_file": path("", 'JSON list of "host:port", one per worker: several hosts or processes'),
    "worker_index": integer(0, "which entry of cluster_file this process is"),
    "num_threads": integer(0, "TensorFlow threads; 0: as many as there are processors", high=4096),
    "output_dir": path("outputs/edvr", "where a run's checkpoints, logs and results go", needed=True),
    "inference_result_dir": path("test", "folder below output_dir for restored frames"),
    "checkpoint": path(
        "",
        "weights to evaluate, restore, freeze: any format, a run's checkpoint; best, latest, epoch:N, step:N or a "
        "name in output_dir",
    ),
    "init_from": path("", "weights to start training from: loads what fits and reports what did not"),
    "weights": word(
        "auto",
        "of a checkpoint or init_from that has both: raw, or ema, their moving average; auto: the average",
        ("auto", "raw", "ema"),
    ),
    "continue_training": word(
        "",
        "go on from a checkpoint in output_dir: True, auto or latest, the newest if any; later ones are set aside",
        ("", "latest", "best"),
        aliases=dict.fromkeys(("True", "true", "yes", "on", "auto"), "latest")
        | dict.fromkeys(("False", "false", "no", "off"), ""),
        numbered=("epoch", "step"),
    ),
    "random_seed": integer(20210126, "of the first weights, the order of samples and their augmentation"),
    "writer_num_threads": integer(8, "threads that encode and write restored frames", low=1, high=1024),
    "writer_queue_size": integer(
        -1, "restored frames that may wait for them; -1: twice the threads", low=1, also=(-1,)
    ),
}

_MODEL = {
    "scale": integer(4, "by how much the output is larger than the input", low=1, high=16),
    "num_frames": integer(5, "frames of a window, or of a clip in training", low=1, high=1000),
    "input_format_dimension": integer(5, "of a frozen graph's input: 5 [N,T,H,W,C]; 4 [N*T,H,W,C]", choices=(4, 5)),
    "convert_output_to_uint8": flag(False, "of a frozen graph's output"),
    "size": word(
        "pad", "sizes that the network cannot take: pad and crop back, or crop as the original did", ("pad", "crop")
    ),
}

_AUGMENT = {
    "rot90": flag(False, "a quarter turn counter-clockwise, by a coin (CDVD-TSP)"),
    "rotation": flag(False, "by 0, 90, 180 or 270 degrees (deblur-devil)"),
    "multiplicative_color": flag(False, "each channel by a factor of 0.5 to 2 (deblur-devil)"),
    "brightness": flag(False, "by a factor of 0.5 to 1.5 (deblur-devil)"),
    "contrast": flag(False, "by a factor of 0.5 to 1.5 (deblur-devil)"),
    "saturation": flag(False, "by a factor of 0.5 to 1.5 (deblur-devil)"),
    "hue": flag(False, "by -180 to 180 degrees (deblur-devil)"),
    "channel_permutation": flag(False, "the channels in another order (deblur-devil)"),
    "noise": flag(False, "of a standard deviation of 0 to 0.04, on the input (deblur-devil)"),
    "frame_noise": number(
        0.0, "standard deviation of noise on every other input frame, by a coin (PVDNet: 5e-5)", high=1.0
    ),
}

_NOISE = {
    "noise_type": word(
        "clean", "what is added to the input", ("clean", "gaussian", "gaussian process", "speckle", "salt-pepper")
    ),
    "random_seed": integer(None, "of the noise; None: random_seed", optional=True),
    "mean": number(0.0, "of Gaussian noise and speckle", low=-1.0, high=1.0),
    "std": number(0.05, "its standard deviation", high=1.0),
    "amount": number(0.005, "part of the pixels that turn to salt or pepper", high=1.0),
    "salt_ratio": number(0.5, "part of those that turn white", high=1.0),
    "min_std": number(0.01, "smallest standard deviation of a Gaussian process", high=1.0),
    "max_std": number(0.1, "its largest", high=1.0),
}

_SIDE = integer(1, "pixels", low=1, high=1_000_000)

_DATA = {
    "layout": word(
        "reds",
        "how clips lie in folders; see ascendcv.dataloader.layouts",
        ("reds", "pairs", "dvd", "gopro", "davis", "set8", "vid4", "udm10", "vimeo", "random"),
    ),
    "data_dir": path("data/reds", "the data set: a folder, or an LMDB of BasicSR or KAIR"),
    "train_set": name(
        "train.json",
        "reds: a file in data_dir/sets, or train, val, reds4, full; dvd, gopro, vimeo: train, test (full); else a "
        "folder in data_dir, or '.'",
    ),
    "eval_set": name("val.json", "the same, of the clips that measure"),
    "lq_folder": name(
        "", "of the input, or an LMDB; '': the layout's own name; pairs: blur, vimeo: vimeo_septuplet_matlabLRx4"
    ),
    "gt_folder": name("", "of the ground truth; '': the layout's own name; pairs: gt, vimeo: vimeo_septuplet"),
    "gamma": flag(False, "gopro: blurred frames averaged with a camera's gamma (blur_gamma), not linearly (blur)"),
    "train_list": path("", "meta_info file: the clips of train_set that are used; '': all"),
    "eval_list": path("", "the same of eval_set"),
    "hold_out": listing(
        [],
        "names of clips that are never trained on; where any are in eval_set, they are all of it",
        name("", "a clip's name"),
    ),
    "global_batch_size": integer(
        0, "samples per update, divided among all devices: a recipe's own; 0: not said", high=100_000
    ),
    "train_batch_size": integer(
        None,
        "samples per device and update; None: its part of global_batch_size, or 4 where that is not said",
        low=1,
        high=100_000,
        optional=True,
    ),
    "train_raw_size": listing(
        [180, 320],
        "changes nothing: the TensorFlow release had to be told how large frames are",
        _SIDE,
        lengths=(2,),
    ),
    "eval_raw_size": listing([180, 320], "changes nothing, as train_raw_size", _SIDE, lengths=(2,)),
    "train_in_size": listing([64, 64], "crop: height and width of the input", _SIDE, lengths=(2,)),
    "train_data_queue_size": integer(64, "samples that the shuffling reader holds ready", low=1, high=1_000_000),
    "train_interval": integer(1, "distance of neighboring frames in a window", low=1, high=1000),
    "clip_length": integer(0, "frames of a training sample; 0: model.num_frames", high=1000),
    "train_margin": integer(
        0, "frames at each end of a sample that may lie outside its clip, whose edge frame is repeated", high=1000
    ),
    "train_stride": integer(1, "frames between the beginnings of neighboring samples", low=1, high=1_000_000),
    "n_frames_per_video": integer(
        0, "train on the first frames of each clip only; 0: on all (CDVD-TSP: 100, its fork: 200)"
    ),
    "repeat": integer(
        1,
        "passes over all samples that are called an epoch; 0: CDVD-TSP's rule, about 1000 batches",
        high=1_000_000,
    ),
    "crops_per_example": integer(
        1, "samples (crop, turns, colors) made of the frames once they are decoded", low=1, high=1000
    ),
    "cache": path("", "folder of decoded frames, read instead of the files (2.8 MB per 720p frame); '': none"),
    "mirror": flag(False, "a sample is its frames and then their reversal: 7 frames become 14"),
    "sigma": listing(
        [],
        "[low, high]: Gaussian noise of one standard deviation per sample, in 8-bit levels, not clipped; []: none",
        number(0.0, "8-bit levels", high=255.0),
        lengths=(0, 2),
    ),
    "random_reverse": flag(False, "plays backwards, by a coin"),
    "use_flip": flag(True, "mirrors left-right, by a coin, and by another upside down"),
    "use_transpose": flag(True, "exchanges height and width, by a coin"),
    "augment": _AUGMENT,
    "num_threads": integer(1, "threads that read and crop", low=1, high=1024),
    "read_mode": word("tf", "which library decodes", ("tf", "python")),
    "on_error": word(
        "replace", "a frame that cannot be read: replace the sample by another, or stop", ("replace", "stop")
    ),
    "degrade": listing(
        [],
        "steps that make the input of the ground truth while training, as 'bicubic scale=4'; see docs/data.md",
        name("", "a step"),
    ),
    "eval_batch_size": integer(1, "windows restored at once; batch of a frozen graph (-1: any)", low=1, also=(-1,)),
    "eval_in_size": listing(
        [180, 320],
        "tile (height, width), with eval_in_patch; input of a frozen graph ([-1, -1]: any)",
        integer(1, "pixels", low=1, high=1_000_000, also=(-1,)),
        lengths=(2,),
    ),
    "eval_in_patch": flag(False, "restore in overlapping tiles"),
    "eval_pad_size": integer(32, "overlap of tiles", high=1_000_000),
    "noise": _NOISE,
}

_SCHEDULE = {
    "type": word(
        "CosineRestart",
        "each is explained in ascendcv/runner/schedules.py; CA and those called Restart need restart_weights",
        (
            "CosineRestart",
            "Cosine",
            "CosineAnnealingRestart",
            "MultiStepRestart",
            "MultiStep",
            "StepLR",
            "OneCycle",
            "CA",
            "LD",
        ),
    ),
    "unit": word("steps", "what total_steps, milestones, step_size and warmup_steps count", ("steps", "epochs")),
    "base_lr": number(4e-4, "the learning rate, above 0, before the schedule lowers it", high=1e38),
    "total_steps": listing([150000] * 4, "of each period", integer(1, "steps or epochs", low=1), shortest=1),
    "restart_weights": listing(
        [1.0, 0.5, 0.5, 0.5], "factor of base_lr in each period", number(1.0, "a factor", high=1e6)
    ),
    "min_lr": number(1e-7, "what the rate falls to", high=1e38),
    "warmup_steps": integer(0, "of a linear rise at the beginning"),
    "milestones": listing(
        [], "of MultiStepRestart (its periods are total_steps), MultiStep and LD", integer(0, "a step")
    ),
    "gamma": number(0.1, "the factor at each of them, and of StepLR", above=0.0, high=1.0),
    "step_size": integer(0, "of StepLR"),
    "max_lr": number(0.0, "of OneCycle, which starts at base_lr", high=1e38),
    "pct_start": number(0.3, "of OneCycle: the part of the run in which the rate rises", high=1.0),
    "final_div_factor": number(1e4, "of OneCycle: base_lr over the last rate", above=0.0, high=1e30),
    "base_momentum": number(0.85, "of OneCycle: the momentum (beta_1) moves between this", high=1.0),
    "max_momentum": number(0.95, "and this", high=1.0),
}

_SOLVER = {
    "optimizer": {
        "type": word("Adam", "the optimizer", ("Adam", "AdamW", "RAdam", "momentum")),
        "beta_1": number(0.9, "decay of the mean of gradients", high=0.9999999),
        "beta_2": number(0.999, "decay of the mean of their squares", high=0.9999999),
        "epsilon": number(1e-8, "added to the divisor", low=1e-30, high=1.0),
        "momentum": number(0.9, "of the optimizer momentum", high=0.9999999),
        "weight_decay": number(0.0, "of AdamW and RAdam decoupled; of Adam and momentum an L2 penalty", high=1.0),
    },
    "lr_schedule": _SCHEDULE,
    "param_groups": listing(
        [],
        "{pattern: REGEX of official names, lr_mult: 1.0, freeze_until: STEP}, ...; the first that matches counts",
        record(
            "weights that learn in another way",
            {
                "pattern": text("", "a regular expression that is found in their official names"),
                "lr_mult": number(1.0, "factor of their learning rate", high=1e6),
                "freeze_until": number(0.0, "the step that they begin to learn in", high=2**53, also=(math.inf,)),
            },
            required=("pattern",),
        ),
    ),
    "train_only": {
        "pattern": text("", "freeze every name that does not match, until a step; '': none"),
        "until_step": integer(0, "that step"),
    },
    "accumulate": integer(
        0,
        "parts of a device's samples that go through the network one after the other, their gradients added up; "
        "0: as many as its memory asks for",
        high=100_000,
    ),
    "grad_clip_norm": number(0.0, "largest norm of the gradient; 0: any", high=1e30),
    "ema_decay": number(0.0, "decay of the moving average of the weights; 0: none", high=0.9999999),
    "mix_precision": flag(False, "layers compute in mix_precision_dtype; weights stay float32"),
    "mix_precision_dtype": word("bfloat16", "what they compute in", ("bfloat16", "float16")),
    "loss_scale": text("off", "off, d* (dynamic, from 2^32) or fXN (fixed, 2^N); float16 wants d"),
    "xla": flag(False, "compile a training step with XLA; one device only"),
    "max_nonfinite_steps": integer(10, "stop after so many in a row", low=1),
    "worker_timeout": integer(
        1800, "seconds without a step after which a worker that waits for others ends; 0: it waits on"
    ),
    "print_interval": integer(20, "steps between lines of the log", low=1),
    "checkpoint_interval": integer(500, "steps between checkpoints; 0: at the end only"),
    "checkpoint_epochs": integer(0, "epochs between checkpoints; above 0 it counts instead of checkpoint_interval"),
    "keep_checkpoints": integer(0, "newest checkpoints kept; 0: all"),
    "keep_best": integer(1, "best ones kept besides these"),
    "best_key": text("val/psnr", "the column of log.csv that ranks checkpoints"),
    "best_is": word("highest", "which of its values is best", ("highest", "lowest")),
    "validation_interval": integer(0, "steps between validations; 0: none"),
    "validation_epochs": integer(0, "epochs between validations; above 0 it counts instead of validation_interval"),
    "sample_interval": integer(0, "steps between sample pictures (sample/, TensorBoard); 0: none"),
    "sample_epochs": integer(0, "epochs between them; above 0 it counts instead of sample_interval"),
    "validation_sample_interval": integer(0, "steps between such pictures of the evaluation set; 0: none"),
    "validation_sample_epochs": integer(0, "epochs between those; above 0 it counts instead of the steps"),
    "sample_keep": integer(0, "newest sample pictures kept; 0: all"),
    "sample_clear_interval": integer(0, "steps after which all earlier sample pictures are removed; 0: never"),
    "save_mat": flag(True, "log/epochs.mat beside log/epochs.csv, for MATLAB and Octave, where SciPy is installed"),
    "save_sources": flag(True, "config/sources-<time>.zip: the packages as they were"),
    "overwrite": flag(False, "begin anew in output_dir: removes what an earlier run left there, and nothing else"),
    "trackers": listing(
        [],
        "services that get scalars and pictures too; each is an extra, as in pip install 'ascendvsr[wandb]'",
        word("wandb", "a service", ("wandb", "mlflow", "trackio")),
    ),
    "tracker_project": text("ascendvsr", "the project or experiment that the run belongs to there"),
    "notify_command": text("", "a shell command that gets the line of each finished epoch on its standard input"),
    "lr_finder": {
        "type": word("exponential", "how the rate rises", ("exponential", "linear")),
        "start_lr": number(1e-7, "the first rate", above=0.0, high=1e6),
        "end_lr": number(1.0, "the last", above=0.0, high=1e6),
        "steps": integer(1000, "updates, at least 2", low=1),
        "smoothing": number(0.05, "weight of the newest loss in the smoothed one", above=0.0, high=1.0),
        "diverge_at": number(5.0, "stop above this multiple of the lowest smoothed loss; 0: never", high=1e30),
    },
}

_EVAL = {
    "precision": word("float32", "to compute in", ("float32", "bfloat16", "float16")),
    "window_ends": word(
        "replicate",
        "what stands in for frames before the first and after the last",
        ("replicate", "reflection", "reflection_circle", "circle"),
    ),
    "crop_border": integer(0, "pixels at each edge that do not count", high=1_000_000),
    "rounding": flag(False, "to 8 bit before the metrics: the TensorFlow release did not, the papers do"),
    "save_images": flag(False, "write the restored frames too, also those of validations during training"),
    "tensorboard": flag(False, "eval and inference write pictures and scores for TensorBoard"),
    "protocol": word(
        "",
        "a paper's own way to measure, or a data set's; '': by the keys of eval. Explained in docs/measuring.md",
        (
            *("", "edvr", "rvrt", "cdvd_tsp", "pvdnet_eval", "pvdnet_paper", "deblur_devil"),
            *("reds4", "vid4", "vimeo90k", "udm10", "gopro", "dvd", "davis", "set8"),
        ),
    ),
    "blending": word("seamless", "of tiles and chunks; official: as RVRT's test program", ("seamless", "official")),
    "tile_frames": integer(
        32, "of networks that restore whole clips: frames at once, an even number; 0: the whole video, however long"
    ),
    "tile_frames_overlap": integer(8, "frames by which neighboring chunks overlap"),
}

_INFERENCE = {
    "input": path("", "a folder of frames, a folder of such folders, or a video; '': data_dir's eval_set"),
    "output": path("", "a folder or a video; '': output_dir/inference_result_dir"),
    "sigma": text(
        "",
        "standard deviation of the noise, in 8-bit levels, where a network must be told: a number, a gray image (a "
        "map), or a text file of lines NAME SIGMA; where the evaluation set is clean, such noise is added",
    ),
    "fps": number(24.0, "of a video made from a folder of frames; a video keeps its own", low=0.001, high=1000.0),
}

COMMON = _MAIN | {
    "model": _MODEL,
    "data": _DATA,
    "solver": _SOLVER,
    "eval": _EVAL,
    "inference": _INFERENCE,
}
