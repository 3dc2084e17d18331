"""MLflow."""

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ascendcv.runner.hooks.tracker import Tracker


class MLflow(Tracker):
    """Scalars and pictures in a run of MLflow, at the server that MLFLOW_TRACKING_URI names; else in `./mlruns`."""

    extra = "mlflow"

    def begin(self, run_id: str) -> str:
        self._mlflow = importlib.import_module("mlflow")
        if not self._mlflow.is_tracking_uri_set():
            # MLflow's default is a database, which its client alone does not have.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            self._mlflow.set_tracking_uri(Path("mlruns").absolute().as_uri())
        self._mlflow.set_experiment(self.project)
        if run_id:
            return self._mlflow.start_run(run_id=run_id).info.run_id
        run = self._mlflow.start_run(run_name=self.name)
        # A parameter of MLflow has 6000 characters at most.
        self._mlflow.log_params({name: str(value)[:500] for name, value in self.settings.items()})
        return run.info.run_id

    def log(self, step: int, scalars: Mapping[str, float], pictures: Mapping[str, np.ndarray]) -> None:
        self._mlflow.log_metrics({name: float(value) for name, value in scalars.items()}, step=step)
        for name, picture in pictures.items():
            self._mlflow.log_image(picture, artifact_file=f"{name.replace('/', '_')}/{step:08d}.png")

    def finish(self) -> None:
        self._mlflow.end_run()
