"""A golden case: what was run, on what, and what came out."""

import copy
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import EllipsisType

import numpy as np

from tests.golden.fill import filled_state_dict


class CaseError(Exception):
    """A case that cannot be used as it stands; the message says why."""


class Case:
    """A .json file and the .npz beside it. Arrays have the source's layout (N C H W, weights O I kh kw).

    Attributes:
        name: family/case.
        family, kind, subject: which adapter serves it.
        config: the source's constructor arguments and whatever else describes the run.
        inputs, outputs: array name -> what it is.
        information: names of outputs that are told, not to be matched.
        reduce: output -> what was done to what the network returned before it was stored.
        grad_params: official names of the parameters whose gradients `grad_l2`, ... hold.
        extra: the whole json, for what only some families say.
        compute_in: 'float64' where float32 depends too much on the processor: the case is then run in float64,
            from the same weights and frames.
    """

    def __init__(self, path: Path) -> None:
        try:
            description = json.loads(path.read_text())
            self.family, self.kind, self.subject = (description[key] for key in ("family", "kind", "subject"))
            self.name = f"{self.family}/{description['case']}"
            self.inputs: dict[str, str] = description["inputs"]
            self.outputs: dict[str, str] = description["outputs"]
        except (ValueError, KeyError, TypeError) as error:
            raise CaseError(f"{path} does not describe a golden case: {error!r}") from error
        arrays = path.with_suffix(".npz")
        try:
            with np.load(arrays, allow_pickle=False) as archive:
                self._arrays = dict(archive)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise CaseError(f"{arrays} cannot be read: {error}") from error
        self.extra: dict = description
        self.config: dict = description.get("config") or {}
        self.information: list[str] = description.get("information") or []
        self.reduce: dict[str, str] = description.get("reduce") or {}
        self.grad_params: list[str] = description.get("grad_params") or self.config.get("grad_params") or []
        self.compute_in: str = description.get("compute_in") or "float32"
        if self.compute_in not in ("float32", "float64"):
            raise CaseError(f"{path}: compute_in is {self.compute_in!r}; it should be float32 or float64")
        self._dtype = np.float32

    def in_double_precision(self) -> "Case":
        """The case for a run in float64: its float32 arrays are given as float64, with the same values."""
        case = copy.copy(self)
        case._dtype = np.float64
        return case

    def array(self, name: str) -> np.ndarray:
        """An array as it is stored."""
        array = self._arrays[name]
        return array.astype(self._dtype) if array.dtype == np.float32 else array

    def frames(self, name: str) -> np.ndarray:
        """An array of frames in 0..1: 8-bit ones are divided by 255 in float32."""
        array = self._arrays[name]
        if array.dtype == np.uint8:
            return (array.astype(np.float32) / np.float32(255)).astype(self._dtype)
        return self.array(name)

    def state_dict(self) -> dict[str, np.ndarray]:
        """The weights, filled by rule, under their official names."""
        return filled_state_dict(
            self.extra["state_dict"],
            self.extra["gain"],
            self.extra.get("fill_overrides") or {},
            self.extra.get("keep") or [],
        )

    def complaints(self) -> list[str]:
        """What of the case itself does not fit together."""
        described = {*self.inputs, *self.outputs}
        complaints = [f"{name} is in the npz but not in the json" for name in self._arrays.keys() - described]
        complaints += [f"{name} is in the json but not in the npz" for name in described - self._arrays.keys()]
        return sorted(complaints)

    def tolerance(self, name: str) -> float:
        """The largest absolute difference allowed in the output `name`."""
        limit = (self.extra.get("tolerances") or {}).get(name, self.extra["tolerance"])
        if isinstance(limit, str):
            factor = re.fullmatch(r"relative\s+(\S+)", limit)
            if factor is None:
                raise CaseError(f"tolerance {limit!r} of {name} is neither a number nor 'relative R'")
            return float(factor[1]) * float(np.max(np.abs(self._arrays[name]), initial=0))
        return float(limit)

    def outliers(self, name: str) -> float:
        """The fraction of the elements of `name` that may exceed the tolerance."""
        fraction = self.extra.get("outliers") or 0
        return fraction.get(name, 0) if isinstance(fraction, dict) else fraction

    def computed_in_double(self, name: str) -> bool:
        """Whether the array `name` is compared with what a run in float64 gives.

        That is every array of a case that says so, and `loss64`, `grad64.NAME`, ..., which come from such a run of
        the source. A case that has these holds gradients whose float32 values are noise in part: all of its
        gradients are then compared in float64.
        """
        if self.compute_in == "float64":
            return True
        if any(_of_a_run_in_double(other) for other in self.outputs):
            return _of_a_run_in_double(name) or name.startswith("grad")
        return False

    def view(self, name: str) -> tuple:
        """The index of the part of the full tensor that is stored as `name`."""
        text = (self.extra.get("views") or {}).get(name, "...")
        return tuple(_index(part.strip()) for part in text.strip("[] ").split(","))


def _index(text: str) -> slice | int | EllipsisType:
    if text == "...":
        return ...
    if ":" in text:
        return slice(*(int(bound) if bound.strip() else None for bound in text.split(":")))
    return int(text)


def _of_a_run_in_double(name: str) -> bool:
    return re.fullmatch(r"(loss|gradnorm|grad)64(\..*)?", name) is not None


def family_of(path: Path) -> str | None:
    """The family of the case in the .json `path`; None if it does not say."""
    try:
        return json.loads(path.read_text())["family"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def case_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The .json files among `paths` and in the folders below them, each once, sorted in each folder."""
    seen = set()
    for path in paths:
        for file in sorted(path.rglob("*.json")) if path.is_dir() else [path]:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file
