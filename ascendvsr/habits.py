"""Options of the originals' commands, typed by habit: what each is called here."""

from collections.abc import Sequence

from ascendcv.utils.errors import InputError

_RECIPE = "`ascendvsr train --config-file NAME`, such as"

# option -> whose it is, and what does that here
HABITS: dict[str, tuple[str, str]] = {
    # PVDNet
    "--is_train": ("PVDNet", f"{_RECIPE} pvdnet/pvdnet_dvd, trains; `ascendvsr eval --checkpoint W` measures"),
    "--mode": ("PVDNet", "the setting output_dir names the run's folder"),
    "--trainer": ("PVDNet", "the configuration names the network: --config-file pvdnet/pvdnet_dvd"),
    "--network": ("PVDNet", "the setting model.name, in the configuration"),
    "--data": ("PVDNet", "the settings data.layout (dvd, gopro, random) and data.data_dir"),
    "-LRS": ("PVDNet", "the setting solver.lr_schedule.type: CA or LD"),
    "-b": ("PVDNet", "the setting data.global_batch_size, or data.train_batch_size per device"),
    "-th": ("PVDNet", "the setting data.num_threads"),
    "-dl": ("PVDNet", "the setting solver.overwrite True"),
    "-r": ("PVDNet", "the setting continue_training epoch:N"),
    "-ss": ("PVDNet", "the setting solver.sample_interval N"),
    "-dist": ("PVDNet", "scripts/run_8p_train.sh, or the setting rank_size N"),
    "--ckpt_name": ("PVDNet", "--checkpoint NAME, which is looked for in output_dir too"),
    "--ckpt_abs_name": ("PVDNet", "--checkpoint PATH"),
    "--ckpt_epoch": ("PVDNet", "--checkpoint epoch:N"),
    "--ckpt_sc": ("PVDNet", "--checkpoint best"),
    "--ckpt_score": ("PVDNet", "--checkpoint best"),
    "--eval_mode": ("PVDNet", "the setting eval.protocol: pvdnet_eval or pvdnet_paper"),
    # RVRT, KAIR and BasicSR
    "--opt": ("KAIR and BasicSR", "--config-file NAME: `ls configs`"),
    "-opt": ("KAIR and BasicSR", "--config-file NAME: `ls configs`"),
    "--launcher": ("BasicSR", "scripts/run_8p_train.sh, or the setting rank_size N"),
    "--auto_resume": ("BasicSR", "the setting continue_training True"),
    "--task": ("RVRT", "the weights tell the network: --checkpoint rvrt_001_reds, see `ascendvsr models rvrt`"),
    "--folder_lq": ("RVRT", "--lq DIR of `ascendvsr eval`, or `ascendvsr restore DIR`"),
    "--folder_gt": ("RVRT", "--gt DIR of `ascendvsr eval`"),
    "--tile_overlap": ("RVRT", "--tile-overlap t h w"),
    "--save_result": ("RVRT", "the setting eval.save_images True"),
    "--num_workers": ("RVRT", "the setting data.num_threads"),
    "--model_path": ("RVRT and CDVD-TSP", "--checkpoint PATH"),
    # CDVD-TSP and its fork
    "--dir_data": ("CDVD-TSP", "the settings data.data_dir and data.train_set"),
    "--dir_data_test": ("CDVD-TSP", "the setting data.eval_set, a folder in data.data_dir"),
    "--n_sequence": ("CDVD-TSP", "the setting model.num_frames"),
    "--n_frames_per_video": ("CDVD-TSP", "the setting data.n_frames_per_video"),
    "--epochs": ("CDVD-TSP", "the settings solver.lr_schedule.unit epochs and total_steps [N]"),
    "--batch_size": ("CDVD-TSP and deblur-devil", "the setting data.global_batch_size"),
    "--patch_size": ("CDVD-TSP", "the setting data.train_in_size [N,N]"),
    "--size_must_mode": ("CDVD-TSP", "the setting model.size: pad or crop"),
    "--save_images": ("CDVD-TSP", "the setting eval.save_images True"),
    "--save_image": ("CDVD-TSP", "the setting eval.save_images True"),
    "--load": ("CDVD-TSP", "the settings output_dir and continue_training True"),
    "--resume": ("CDVD-TSP", "the setting continue_training True"),
    "--pre_train": ("CDVD-TSP", "the setting init_from PATH"),
    "--lr": ("CDVD-TSP", "the setting solver.lr_schedule.base_lr"),
    "--max_lr": ("CDVD-TSP", "the setting solver.lr_schedule.max_lr"),
    "--lrfinder": ("CDVD-TSP", "the command `ascendvsr lrfinder`"),
    "--StepLR": ("CDVD-TSP", "the setting solver.lr_schedule.type StepLR"),
    "--Adam": ("CDVD-TSP", "the setting solver.optimizer.type Adam"),
    "--LossL1HEM": ("CDVD-TSP", "the configuration cdvd_tsp/dvd_paper, whose loss that is"),
    "--data_path": ("CDVD-TSP", "`ascendvsr inference --input DIR`, or --lq DIR of `ascendvsr eval`"),
    "--result_path": ("CDVD-TSP", "`ascendvsr inference --output DIR`"),
    "--default_data": ("CDVD-TSP", "--checkpoint cdvd_tsp_dvd_paper or cdvd_tsp_gopro: `ascendvsr models cdvd`"),
    "--border": ("CDVD-TSP", "the setting eval.window_ends reflection"),
    "--n_GPUs": ("CDVD-TSP", "the setting rank_size N"),
    "--gpu_ids": ("CDVD-TSP", "the setting device_ids [0,1]"),
    # deblur-devil
    "--save": ("deblur-devil and CDVD-TSP", "the setting output_dir"),
    "--seed": ("deblur-devil", "the setting random_seed"),
    "--cuda": ("deblur-devil", "the setting device gpu"),
    "--total_epochs": ("deblur-devil", "the settings solver.lr_schedule.unit epochs and total_steps [N]"),
    "--optimizer": ("deblur-devil", "the setting solver.optimizer.type"),
    "--optimizer_lr": ("deblur-devil", "the setting solver.lr_schedule.base_lr"),
    "--lr_scheduler": ("deblur-devil", "the setting solver.lr_schedule.type"),
    "--lr_scheduler_gamma": ("deblur-devil", "the setting solver.lr_schedule.gamma"),
    "--lr_scheduler_milestones": ("deblur-devil", "the setting solver.lr_schedule.milestones"),
    "--training_dataset": ("deblur-devil", "the setting data.layout: gopro or dvd"),
    "--training_dataset_root": ("deblur-devil", "the setting data.data_dir"),
    "--validation_dataset": ("deblur-devil", "the settings data.eval_set and solver.validation_epochs"),
    "--validation_dataset_root": ("deblur-devil", "the setting data.data_dir"),
    "--evaluation": ("deblur-devil", "the command `ascendvsr eval`"),
    "--inference": ("deblur-devil", "the command `ascendvsr inference`"),
}


def refuse_habits(argv: Sequence[str], known: Sequence[str]) -> None:
    """Raises `InputError` for the first option of an original, in the words of this program.

    `known` are the options that the command itself has.
    """
    for word in argv:
        option = word.partition("=")[0]
        if option in HABITS and option not in known:
            whose, ours = HABITS[option]
            raise InputError(f"{option} is an option of {whose}; here it is {ours}")
