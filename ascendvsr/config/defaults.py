"""Every setting, its default and what it means.

Keys that the TensorFlow EDVR release had keep their names and meaning. A key whose default is None lists
its type in `OPTIONAL_TYPES`; a key that takes one of a few words lists them in `CHOICES`.
"""

from yacs.config import CfgNode as Node

_ = Node()

# --- what to run, on what, and where results go -------------------------------------------------------------
_.mode = ""  # train | lrfinder | eval | inference | freeze | cost | doctor; `ascendvsr COMMAND` sets it
_.device = "auto"  # auto | cpu | gpu | npu
_.device_ids = [0]  # which devices of this host
_.rank_size = 1  # number of devices; on CPUs: logical devices or local processes
_.root_rank = 0  # the worker that logs and saves
_.cluster_file = ""  # JSON list of "host:port", one a worker: several hosts or processes
_.worker_index = 0  # which entry of cluster_file this process is
_.num_threads = 0  # TensorFlow threads; 0: as many as there are processors
_.output_dir = "outputs/edvr"
_.inference_result_dir = "test"  # folder below output_dir for restored frames
_.checkpoint = ""  # weights to evaluate, restore, freeze: any format, a run's checkpoint; best | latest | epoch:N
_.init_from = ""  # weights to start training from: loads what fits and reports what did not
_.continue_training = False  # go on from the newest checkpoint in output_dir
_.random_seed = 20210126
_.writer_num_threads = 8  # threads that encode and write restored frames
_.writer_queue_size = -1  # restored frames that may wait for them; -1: twice the threads

# --- the network's interface --------------------------------------------------------------------------------
_.model = Node()
_.model.name = "EDVR"
_.model.scale = 4
_.model.num_frames = 5
_.model.input_format_dimension = 5  # of a frozen graph's input: 5 [N,T,H,W,C]; 4 [N*T,H,W,C]
_.model.convert_output_to_uint8 = False  # of a frozen graph's output
_.model.size = "pad"  # sizes that the network cannot take: pad and crop back | crop, as the original did

# --- EDVR ---------------------------------------------------------------------------------------------------
_.edvr = Node()
_.edvr.with_tsa = True
_.edvr.with_predeblur = False
_.edvr.hr_in = False  # input at output resolution (deblurring)
_.edvr.num_in_ch = 3
_.edvr.num_out_ch = 3
_.edvr.center_frame_idx = None  # None: the middle frame
_.edvr.mid_channels = 64
_.edvr.num_hr_feat = 64  # channels of the features at the size of the output
_.edvr.num_groups = 1
_.edvr.num_deform_groups = 8
_.edvr.num_blocks_extraction = 5
_.edvr.num_blocks_reconstruction = 10
_.edvr.dcn_version = "v2"
_.edvr.impl = "auto"  # auto | tf | fused | npu
_.edvr.upsampling = "bilinear"
_.edvr.even_start = False  # begin with features of even strength, for short runs: ascendvsr/training/edvr_start.py
_.edvr.loss_type = "l2"  # l1 | l2 | charbonnier | marginal l1
_.edvr.loss_reduction = "mean"  # over the batch, of the sum over H, W, C: mean | sum; pixel: mean over all
_.edvr.loss_margin = 1e-6

# --- DBN and FlowDBN: what the paper studied, with what its released recipe uses as the default ----------------
# The study as a whole took DBN 3.15 dB up. Patch size, sequence length, schedule, photometric augmentation and
# prewarping are set elsewhere: docs/deblur_devil.md lists all of it.
_.deblur_devil = Node()
_.deblur_devil.num_feat = 64  # channels at full size
_.deblur_devil.output_layer = "linear"  # linear | sigmoid, as in DBN before the study
_.deblur_devil.init_type = "fan_max"  # fan_max | fan_in | fan_out
_.deblur_devil.identity_start = False  # begin by adding nothing to the middle frame, for short runs
_.deblur_devil.color_space = "rgb"  # rgb | ycbcr, in which the network computes; the released recipe stays in RGB
_.deblur_devil.prewarping = "pwcnet"  # pwcnet | flownet1s: the flow network of FlowDBN, frozen
_.deblur_devil.flow_checkpoint = ""  # weights of that network, for training; FlowDBN's own weights contain it
_.deblur_devil.div_flow = 0.05  # the unit of that network's output is a pixel divided by this
_.deblur_devil.impl = "auto"  # of its cost volumes: auto | tf | fused | npu

# --- RVRT: the paper's names; `model.scale` is its upscale, 4 or 1 -----------------------------------------------
_.rvrt = Node()
_.rvrt.window_size = [2, 8, 8]  # frames, rows and columns of the attention's windows
# Of the feature extraction, the four branches and the reconstruction:
_.rvrt.num_blocks = [1, 2, 1]
_.rvrt.depths = [2, 2, 2]
_.rvrt.embed_dims = [144, 144, 144]
_.rvrt.num_heads = [6, 6, 6]
_.rvrt.mlp_ratio = 2.0
_.rvrt.inputconv_groups = [1, 1, 1, 1, 1, 1]
_.rvrt.deformable_groups = 12
_.rvrt.attention_heads = 12  # of the deformable attention
_.rvrt.attention_window = [3, 3]
_.rvrt.max_residue_magnitude = 10.0  # pixels
_.rvrt.nonblind_denoising = False  # a fourth input channel is the deviation of the noise / 255
_.rvrt.use_checkpoint_attn = False  # training computes attention twice instead of keeping what is inside it
_.rvrt.use_checkpoint_ffn = False  # the same of the feed-forward parts
_.rvrt.impl = "auto"  # of the deformable attention: auto | tf | fused | npu
_.rvrt.spynet_checkpoint = ""  # weights that SpyNet begins with: spynet_sintel_final, or of an RVRT
_.rvrt.fix_iter = 30000  # SpyNet learns from this step on
_.rvrt.fix_lr_mul = 0.25  # at this part of the rate
_.rvrt.identity_start = False  # begin near the identity, for short runs; see ascendvsr/training/rvrt_start.py

# --- PVDNet and BIMNet --------------------------------------------------------------------------------------
_.pvdnet = Node()
_.pvdnet.num_blocks = 12  # large: 24 blocks of 192 channels
_.pvdnet.channels = 128
_.pvdnet.pv_ksize = 5  # side of the pixel volume
_.pvdnet.impl = "auto"  # auto | tf | fused | npu
_.pvdnet.bimnet_checkpoint = ""  # weights that the second stage takes BIMNet from: of a BIMNet, or of a PVDNet
_.pvdnet.allow_untrained_bimnet = False

# --- CDVD-TSP -----------------------------------------------------------------------------------------------
_.cdvd_tsp = Node()
_.cdvd_tsp.n_resblock = 3  # residual blocks at each place of the reconstruction network
_.cdvd_tsp.n_feat = 32  # its channels at full size
_.cdvd_tsp.is_mask_filter = True  # the sharpness prior compares means over 5x5 pixels
_.cdvd_tsp.impl = "auto"  # of the flow network's cost volumes: auto | tf | fused | npu
_.cdvd_tsp.flow_checkpoint = ""  # weights that the flow network (PWC-Net) begins with: network-default.pytorch
_.cdvd_tsp.loss_l1 = 1.0  # weights of the terms of the loss; 0: without
_.cdvd_tsp.loss_hem = 2.0  # hard example mining
_.cdvd_tsp.loss_ms_ssim = 0.0  # 1 - MS-SSIM: crops of at least 161 pixels a side
_.cdvd_tsp.loss_on = "all"  # all | final: what every stage restores, or the last frame alone

# --- flow networks alone: PWCNet, PWCNetDevil, FlowNet1S ------------------------------------------------------
_.flow = Node()
_.flow.div_flow = 0.05  # PWCNetDevil, FlowNet1S: the unit of the network's output is a pixel divided by this
_.flow.impl = "auto"  # of cost volumes: auto | tf | fused | npu
_.flow.train_dir = "data/FlyingChairs_release/data"
_.flow.train_split = ""  # FlyingChairs_train_val.txt: its training part only; '': all pairs
_.flow.eval_dir = "data/MPI-Sintel-complete"  # validation on training/clean
_.flow.affine = True  # change frames and flow by random affine maps
_.flow.colors = True  # change hue, gamma, brightness, contrast and saturation of both frames alike

# --- data ---------------------------------------------------------------------------------------------------
_.data = Node()
_.data.layout = "reds"  # reds | pairs | dvd | gopro | davis | vimeo | random; see ascendcv.dataloader.layouts
_.data.data_dir = "data/reds"
# reds: a file in data_dir/sets. dvd, gopro, vimeo: train | test (| full). Others: a folder in data_dir, or ".".
_.data.train_set = "train.json"
_.data.eval_set = "val.json"
_.data.lq_folder = ""  # '': the layout's own name; pairs: blur, vimeo: vimeo_septuplet_matlabLRx4
_.data.gt_folder = ""  # pairs: gt, vimeo: vimeo_septuplet
_.data.gamma = False  # gopro: blurred frames averaged with a camera's gamma (blur_gamma), not linearly (blur)
_.data.train_list = ""  # meta_info file: the clips of train_set that are used ('': all)
_.data.eval_list = ""
_.data.hold_out = []  # names of clips that are never trained on; where any are in eval_set, they are all of it
_.data.train_batch_size = 4  # per device
# The TensorFlow release had to be told how large its frames are. Files tell it: these two change nothing.
_.data.train_raw_size = [180, 320]
_.data.eval_raw_size = [180, 320]
_.data.train_in_size = [64, 64]  # crop
_.data.train_data_queue_size = 64  # samples that the shuffling reader holds ready
_.data.train_interval = 1  # distance of neighbouring frames in a window
_.data.clip_length = 0  # frames of a training sample; 0: model.num_frames
# Frames at each end of a sample that may lie outside its clip, whose edge frame is repeated:
_.data.train_margin = 0
_.data.train_stride = 1  # frames between the beginnings of neighbouring samples
# Train on the first frames of each clip only; 0: on all (CDVD-TSP: 100, its fork: 200):
_.data.n_frames_per_video = 0
_.data.repeat = 1  # passes over all samples that are called an epoch; 0: CDVD-TSP's rule, about 1000 batches
_.data.crops_per_example = 1  # samples (crop, turns, colours) made of the frames once they are decoded
_.data.cache = ""  # folder of decoded frames, read instead of the files (2.8 MB a 720p frame); '': none
_.data.mirror = False  # a sample is its frames and then their reversal: 7 frames become 14
_.data.sigma = []  # [low, high]: Gaussian noise of one deviation a sample, in 8-bit levels, not clipped; []: none
_.data.random_reverse = False  # plays backwards: like the next ones, by a coin
_.data.use_flip = True  # mirrors left-right, and by another coin upside down
_.data.use_transpose = True  # exchanges height and width
_.data.augment = Node()
_.data.augment.rot90 = False  # a quarter turn counter-clockwise (CDVD-TSP)
_.data.augment.rotation = False  # by 0, 90, 180 or 270 degrees (deblur-devil)
# Deblur-devil's photometric augmentation, shared by input and ground truth but for the noise. Off in its recipes.
_.data.augment.multiplicative_color = False  # each channel by a factor of 0.5 to 2
_.data.augment.brightness = False  # by a factor of 0.5 to 1.5, as contrast and saturation
_.data.augment.contrast = False
_.data.augment.saturation = False
_.data.augment.hue = False  # by -180 to 180 degrees
_.data.augment.channel_permutation = False
_.data.augment.noise = False  # of a deviation of 0 to 0.04, on the input
_.data.augment.frame_noise = 0.0  # deviation of noise on every other input frame, by a coin (PVDNet: 5e-5)
_.data.num_threads = 1
_.data.read_mode = "tf"  # tf | python: which library decodes
_.data.eval_batch_size = 1
_.data.eval_in_size = [180, 320]  # tile, with eval_in_patch; input of a frozen graph ([-1, -1]: any)
_.data.eval_in_patch = False  # restore in overlapping tiles
_.data.eval_pad_size = 32  # overlap of tiles
_.data.noise = Node()
_.data.noise.noise_type = "clean"  # clean | gaussian | gaussian process | speckle | salt-pepper
_.data.noise.random_seed = None  # None: random_seed
_.data.noise.mean = 0.0
_.data.noise.std = 0.05
_.data.noise.amount = 0.005
_.data.noise.salt_ratio = 0.5
_.data.noise.min_std = 0.01
_.data.noise.max_std = 0.1

# --- training -----------------------------------------------------------------------------------------------
_.solver = Node()
_.solver.optimizer = Node()
_.solver.optimizer.type = "Adam"  # Adam | AdamW | RAdam | momentum
_.solver.optimizer.beta_1 = 0.9
_.solver.optimizer.beta_2 = 0.999
_.solver.optimizer.epsilon = 1e-8
_.solver.optimizer.momentum = 0.9
_.solver.optimizer.weight_decay = 0.0  # of AdamW and RAdam decoupled; of Adam and momentum an L2 penalty
_.solver.lr_schedule = Node()
# CosineRestart | Cosine | CosineAnnealingRestart | MultiStepRestart | MultiStep | StepLR | OneCycle | CA | LD: what
# each is, says ascendcv/runner/schedules.py. Those with `Restart` in the name and CA need restart_weights.
_.solver.lr_schedule.type = "CosineRestart"
_.solver.lr_schedule.unit = (
    "steps"  # steps | epochs: what total_steps, milestones, step_size and warmup_steps count
)
_.solver.lr_schedule.base_lr = 4e-4
_.solver.lr_schedule.total_steps = [150000, 150000, 150000, 150000]
_.solver.lr_schedule.restart_weights = [1.0, 0.5, 0.5, 0.5]
_.solver.lr_schedule.min_lr = 1e-7
_.solver.lr_schedule.warmup_steps = 0
_.solver.lr_schedule.milestones = []  # of MultiStepRestart (its periods are total_steps), MultiStep and LD
_.solver.lr_schedule.gamma = 0.1  # the factor at each of them, and of StepLR
_.solver.lr_schedule.step_size = 0  # of StepLR
_.solver.lr_schedule.max_lr = 0.0  # of OneCycle, which starts at base_lr; the other keys have PyTorch's names
_.solver.lr_schedule.pct_start = 0.3
_.solver.lr_schedule.final_div_factor = 1e4
_.solver.lr_schedule.base_momentum = 0.85  # the momentum (beta_1) moves between these two
_.solver.lr_schedule.max_momentum = 0.95
# [{pattern: REGEX of official names, lr_mult: 1.0, freeze_until: STEP}, ...]; the first that matches counts.
_.solver.param_groups = []
_.solver.train_only = Node()  # freeze every name that does not match, until a step
_.solver.train_only.pattern = ""
_.solver.train_only.until_step = 0
_.solver.grad_clip_norm = 0.0  # 0: no clipping
_.solver.ema_decay = 0.0  # 0: no moving average of the weights
_.solver.mix_precision = False
_.solver.mix_precision_dtype = "bfloat16"  # bfloat16 | float16
_.solver.loss_scale = "off"  # off | d* (dynamic, from 2^32) | fXN (fixed, 2^N); float16 wants d
_.solver.xla = False
_.solver.max_nonfinite_steps = 10  # stop after so many in a row
_.solver.print_interval = 20
_.solver.checkpoint_interval = 500  # steps; 0: at the end only
_.solver.checkpoint_epochs = 0  # epochs between checkpoints; above 0 it counts instead of checkpoint_interval
_.solver.keep_checkpoints = 0  # newest ones kept; 0: all
_.solver.keep_best = 1  # best ones kept besides these
_.solver.best_key = "val/psnr"  # the column of log.csv that ranks checkpoints
_.solver.best_is = "highest"  # highest | lowest
_.solver.validation_interval = 0  # steps between validations; 0: none
_.solver.validation_epochs = 0  # epochs between validations; above 0 it counts instead of validation_interval
_.solver.sample_interval = 0  # steps between sample pictures (sample/, TensorBoard); 0: none
_.solver.sample_keep = 0  # newest sample pictures kept; 0: all
_.solver.sample_clear_interval = 0  # steps after which all earlier sample pictures are removed; 0: never
_.solver.save_mat = False  # log/epochs.mat beside log/epochs.csv
_.solver.save_sources = False  # config/sources-<time>.zip: the packages as they were
_.solver.notify_command = ""  # a shell command that gets the line of each finished epoch on its standard input
_.solver.lr_finder = Node()  # the command lrfinder
_.solver.lr_finder.type = "exponential"  # exponential | linear
_.solver.lr_finder.start_lr = 1e-7
_.solver.lr_finder.end_lr = 1.0
_.solver.lr_finder.steps = 1000
_.solver.lr_finder.smoothing = 0.05  # weight of the newest loss in the smoothed one
_.solver.lr_finder.diverge_at = 5.0  # stop above this multiple of the lowest smoothed loss; 0: never

# --- evaluation and inference -------------------------------------------------------------------------------
_.eval = Node()
_.eval.precision = "float32"  # float32 | bfloat16 | float16, to compute in
_.eval.window_ends = "replicate"  # replicate | reflection | reflection_circle | circle
_.eval.crop_border = 0
_.eval.rounding = False  # to 8 bit before the metrics: the TensorFlow release did not, the papers do
_.eval.save_images = False
# '': by the keys above. A paper's own: rvrt | cdvd_tsp | pvdnet_eval | pvdnet_paper | deblur_devil; what each
# measures says ascendvsr/protocols.py.
_.eval.protocol = ""
_.eval.blending = "seamless"  # seamless | official, of tiles and chunks: as RVRT's test program did
_.eval.tile_frames = 32  # of networks that restore whole clips: frames at once; 0: the whole video, however long
_.eval.tile_frames_overlap = 8  # frames by which neighbouring chunks overlap
_.inference = Node()
_.inference.input = ""  # a folder of frames, a folder of such folders, or a video; '': data_dir's eval_set
_.inference.output = ""  # a folder or a video; '': output_dir/inference_result_dir
# Standard deviation of the noise, in 8-bit levels, where a network must be told: a number, a gray image (a map), or
# a text file of lines NAME SIGMA. Where the evaluation set is clean (data.layout davis), such noise is added.
_.inference.sigma = ""
_.inference.fps = 24.0  # of a video made from a folder of frames; a video keeps its own

DEFAULTS = _

OPTIONAL_TYPES = {"edvr.center_frame_idx": int, "data.noise.random_seed": int}

CHOICES = {
    "mode": ("", "train", "lrfinder", "eval", "inference", "freeze", "cost", "doctor"),
    "device": ("auto", "cpu", "gpu", "npu"),
    "model.input_format_dimension": (4, 5),
    "model.size": ("pad", "crop"),
    "edvr.impl": ("auto", "tf", "fused", "npu"),
    "flow.impl": ("auto", "tf", "fused", "npu"),
    "edvr.loss_type": ("l1", "l2", "charbonnier", "marginal l1"),
    "edvr.loss_reduction": ("mean", "sum", "pixel"),
    "deblur_devil.output_layer": ("linear", "sigmoid"),
    "deblur_devil.init_type": ("fan_max", "fan_in", "fan_out"),
    "deblur_devil.color_space": ("rgb", "ycbcr"),
    "deblur_devil.prewarping": ("pwcnet", "flownet1s"),
    "deblur_devil.impl": ("auto", "tf", "fused", "npu"),
    "rvrt.impl": ("auto", "tf", "fused", "npu"),
    "pvdnet.impl": ("auto", "tf", "fused", "npu"),
    "cdvd_tsp.impl": ("auto", "tf", "fused", "npu"),
    "cdvd_tsp.loss_on": ("all", "final"),
    "data.layout": ("reds", "pairs", "dvd", "gopro", "davis", "vimeo", "random"),
    "data.read_mode": ("tf", "python"),
    "data.noise.noise_type": ("clean", "gaussian", "gaussian process", "speckle", "salt-pepper"),
    "solver.optimizer.type": ("Adam", "AdamW", "RAdam", "momentum"),
    "solver.lr_schedule.type": (
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
    "solver.lr_schedule.unit": ("steps", "epochs"),
    "solver.best_is": ("highest", "lowest"),
    "solver.lr_finder.type": ("exponential", "linear"),
    "solver.mix_precision_dtype": ("bfloat16", "float16"),
    "eval.precision": ("float32", "bfloat16", "float16"),
    "eval.protocol": ("", "rvrt", "cdvd_tsp", "pvdnet_eval", "pvdnet_paper", "deblur_devil"),
    "eval.blending": ("seamless", "official"),
    "eval.window_ends": ("replicate", "reflection", "reflection_circle", "circle"),
}

# Keys of the release whose other values name structures that the published network does not have.
FIXED = {
    "edvr.num_groups": (1, "the deformable convolutions of the published EDVR have one group"),
    "edvr.dcn_version": ("v2", "the published EDVR uses modulated deformable convolutions (v2)"),
    "edvr.upsampling": ("bilinear", "the published EDVR adds a bilinearly upsampled centre frame"),
}
