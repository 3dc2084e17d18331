"""A Dask cluster of Slurm jobs, a GPU each, by `dask-jobqueue`: prints its address and runs until it is stopped.

    pip install dask-jobqueue
    python dask_on_slurm.py 8
    ascendvsr restore film.mkv restored.mkv --cluster ADDRESS

The address serves every command that takes `--cluster`.
"""

import sys
import time

from dask_jobqueue import SLURMCluster


def main() -> None:
    """Asks for as many jobs as the command line says."""
    cluster = SLURMCluster(
        cores=1,
        processes=1,
        memory="32GB",
        walltime="08:00:00",
        job_extra_directives=["--gpus=1", "--cpus-per-task=8"],
        worker_extra_args=["--resources GPU=1"],
    )
    cluster.scale(jobs=int(sys.argv[1]))
    print(cluster.scheduler_address, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
