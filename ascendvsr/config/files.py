"""Where configuration files are: at a path, or among the project's own by name."""

import difflib
import os
import re
from pathlib import Path

from ascendcv.utils.errors import InputError
from ascendcv.utils.setting import path as path_setting
from ascendvsr.config.nodes import LARGEST

_PACKAGE = Path(__file__).resolve().parent.parent
_PATH = path_setting("", "a configuration file")


def own_folder() -> Path:
    """The folder of the project's own configurations: inside the package where installed, else beside it."""
    installed = _PACKAGE / "configs"
    return installed if installed.is_dir() else _PACKAGE.parent / "configs"


def own_names() -> list[str]:
    """The names of the project's own configurations, such as edvr/edvr_m_x4_sr_reds."""
    folder = own_folder()
    return sorted(file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.yaml"))


def find_file(name: str | os.PathLike, beside: Path | None = None) -> Path:
    """The configuration file that `name` means: a path, or the name of one of the project's own.

    A relative path begins `beside` a folder, or in the present one. Raises `InputError` where there is no such
    file, with the own ones that have nearly this name.
    """
    try:
        path = Path(_PATH.read(name))
    except ValueError as error:
        raise InputError(f"the name of a configuration file {error}") from None
    path = path if beside is None else beside / path
    if os.path.exists(path):
        return path
    own = re.sub(r"^(\./)?(configs/)?|\.yaml$", "", os.fspath(name))
    known = own_names()
    if own in known:
        return own_folder() / f"{own}.yaml"
    raise InputError(f"no configuration file {show(path)}; the project's own that are nearest: {_near(own, known)}")


def read_file(path: Path) -> str:
    """The text of a configuration file. Raises `InputError` where it cannot be read or is too large."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise InputError(f"{show(path)} has more than the {LARGEST} bytes of a configuration")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{show(path)} is no configuration: byte {error.start} is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"cannot read the configuration file {show(path)}: {error.strerror}") from None


def show(path: Path) -> str:
    """A path in a message of one line."""
    return str(path) if str(path).isprintable() else repr(str(path))


def _near(name: str, known: list[str]) -> str:
    """The known names that are nearest to `name`, or that have a last part like its own."""
    parts = {Path(own).name: own for own in known} | {own: own for own in known}
    found = difflib.get_close_matches(name[:200], parts, n=3, cutoff=0.0)
    found += difflib.get_close_matches(Path(name[:200]).name, parts, n=3, cutoff=0.6)
    return ", ".join(dict.fromkeys(parts[match] for match in found))
