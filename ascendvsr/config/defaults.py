"""Every setting, its default and what it means.

Keys that the TensorFlow EDVR release had keep their names and meaning. A key whose default is None lists
its type in `OPTIONAL_TYPES`; a key that takes one of a few words lists them in `CHOICES`.
"""

from yacs.config import CfgNode as Node

_ = Node()

# --- what to run, on what, and where results go -------------------------------------------------------------
_.mode = ""  # train | eval | inference | freeze | doctor; `ascendvsr COMMAND` sets it
_.device = "auto"  # auto | cpu | gpu | npu
_.device_ids = [0]  # which devices of this host
_.rank_size = 1  # number of devices; on CPUs: logical devices or local processes
_.root_rank = 0  # the worker that logs and saves
_.cluster_file = ""  # JSON list of "host:port", one a worker: several hosts or processes
_.worker_index = 0  # which entry of cluster_file this process is
_.num_threads = 0  # TensorFlow threads; 0: as many as there are processors
_.output_dir = "outputs/edvr"
_.inference_result_dir = "test"  # folder below output_dir for restored frames
_.checkpoint = ""  # weights to evaluate, restore, freeze: any format, or a training checkpoint's folder
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
_.edvr.num_groups = 1
_.edvr.num_deform_groups = 8
_.edvr.num_blocks_extraction = 5
_.edvr.num_blocks_reconstruction = 10
_.edvr.dcn_version = "v2"
_.edvr.impl = "auto"  # auto | tf | fused | npu
_.edvr.upsampling = "bilinear"
_.edvr.loss_type = "l2"  # l1 | l2 | charbonnier | marginal l1
_.edvr.loss_reduction = "mean"  # over the batch, of the sum over H, W, C: mean | sum; pixel: mean over all
_.edvr.loss_margin = 1e-6

# --- data ---------------------------------------------------------------------------------------------------
_.data = Node()
_.data.data_dir = "data/reds"
_.data.train_set = "train.json"  # in data_dir/sets
_.data.eval_set = "val.json"
_.data.train_batch_size = 4  # per device
_.data.train_raw_size = [180, 320]  # frames of the training set; checked against the set's own sizes
_.data.train_in_size = [64, 64]  # crop
_.data.train_data_queue_size = 64  # samples that the shuffling reader holds ready
_.data.train_interval = 1  # distance of neighbouring frames in a window
_.data.random_reverse = False
_.data.use_flip = True
_.data.use_transpose = True
_.data.num_threads = 1
_.data.read_mode = "tf"  # tf | python: which library decodes
_.data.eval_batch_size = 1
_.data.eval_raw_size = [180, 320]
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
_.solver.optimizer.type = "Adam"  # Adam | momentum
_.solver.optimizer.beta_1 = 0.9
_.solver.optimizer.beta_2 = 0.999
_.solver.optimizer.epsilon = 1e-8
_.solver.optimizer.momentum = 0.9
_.solver.lr_schedule = Node()
_.solver.lr_schedule.type = "CosineRestart"  # or Cosine, CosineAnnealingRestart, MultiStepRestart
_.solver.lr_schedule.base_lr = 4e-4
_.solver.lr_schedule.total_steps = [150000, 150000, 150000, 150000]
_.solver.lr_schedule.restart_weights = [1.0, 0.5, 0.5, 0.5]
_.solver.lr_schedule.min_lr = 1e-7
_.solver.lr_schedule.warmup_steps = 0
_.solver.lr_schedule.milestones = []  # of MultiStepRestart, whose periods are total_steps
_.solver.lr_schedule.gamma = 0.1
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
_.solver.checkpoint_interval = 500
_.solver.keep_checkpoints = 0  # newest ones kept; 0: all
_.solver.print_interval = 20
_.solver.sample_interval = 0  # steps between pictures in TensorBoard; 0: none
_.solver.validation_interval = 0  # steps between validations; 0: none

# --- evaluation and inference -------------------------------------------------------------------------------
_.eval = Node()
_.eval.window_ends = "replicate"  # replicate | reflection | reflection_circle | circle
_.eval.crop_border = 0
_.eval.rounding = False  # to 8 bit before the metrics: the TensorFlow release did not, the papers do
_.eval.save_images = False
_.inference = Node()
_.inference.input = ""  # a folder of frames, a folder of such folders, or a video; '': data_dir's eval_set
_.inference.output = ""  # a folder or a video; '': output_dir/inference_result_dir
_.inference.fps = 24.0  # of a video made from a folder of frames; a video keeps its own

DEFAULTS = _

OPTIONAL_TYPES = {"edvr.center_frame_idx": int, "data.noise.random_seed": int}

CHOICES = {
    "mode": ("", "train", "eval", "inference", "freeze", "doctor"),
    "device": ("auto", "cpu", "gpu", "npu"),
    "model.input_format_dimension": (4, 5),
    "model.size": ("pad", "crop"),
    "edvr.impl": ("auto", "tf", "fused", "npu"),
    "edvr.loss_type": ("l1", "l2", "charbonnier", "marginal l1"),
    "edvr.loss_reduction": ("mean", "sum", "pixel"),
    "data.read_mode": ("tf", "python"),
    "data.noise.noise_type": ("clean", "gaussian", "gaussian process", "speckle", "salt-pepper"),
    "solver.optimizer.type": ("Adam", "momentum"),
    "solver.lr_schedule.type": ("CosineRestart", "Cosine", "CosineAnnealingRestart", "MultiStepRestart"),
    "solver.mix_precision_dtype": ("bfloat16", "float16"),
    "eval.window_ends": ("replicate", "reflection", "reflection_circle", "circle"),
}

# Keys of the release whose other values name structures that the published network does not have.
FIXED = {
    "edvr.num_groups": (1, "the deformable convolutions of the published EDVR have one group"),
    "edvr.dcn_version": ("v2", "the published EDVR uses modulated deformable convolutions (v2)"),
    "edvr.upsampling": ("bilinear", "the published EDVR adds a bilinearly upsampled centre frame"),
}
