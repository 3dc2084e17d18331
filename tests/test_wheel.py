"""The wheel, installed into an environment of its own, used from an empty folder; the Dockerfile that does so."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import PROJECT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the wheel and, from here, what the wheel depends on."""
    source, wheels, place = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "place"))
    for name in copied_by_the_dockerfile():
        path = PROJECT / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(path, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", ".", "--no-build-isolation", "--no-deps", "--no-index", "-w", str(wheels)]
    subprocess.run(build, cwd=source, check=True, capture_output=True)
    (wheel,) = wheels.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin/python"
    packages = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    target = [*pip, "install", "--no-deps", "--no-index", "--target", packages, str(wheel)]
    subprocess.run(target, check=True, capture_output=True)
    # Below the wheel's own packages on the path; files of editable installations are not read there.
    Path(packages, "here.pth").write_text(f"{os.path.dirname(os.path.dirname(pytest.__file__))}\n")
    return python


def copied_by_the_dockerfile() -> list[str]:
    found = []
    for line in (PROJECT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            found += line.split()[1:-1]
    return found


def run(python: Path, folder: Path, *words: object) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [str(python), *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=300)


def test_the_wheel_is_what_runs_there(installed, tmp_path):
    found = run(
        installed, tmp_path, "-c", "import ascendvsr, ascendcv; print(ascendvsr.__file__, ascendcv.__file__)"
    )
    for file in found.stdout.split():
        assert Path(file).is_relative_to(installed.parent.parent), found.stdout + found.stderr


def test_commands_answer_from_an_empty_folder(installed, tmp_path):
    for words in (["--help"], ["models", "x4"], ["settings", "num_threads"], ["restore", "--help"]):
        found = run(installed, tmp_path, "-m", "ascendvsr", *words)
        assert found.returncode == 0, found.stderr
    found = run(installed, tmp_path, "-m", "ascendvsr", "train", "--config-file", "edvr_sample")
    assert found.returncode == 2
    assert found.stderr.startswith("ascendvsr: ")
    assert "data/sample" in found.stderr
    assert [path.name for path in tmp_path.iterdir()] == []


def test_the_launcher_starts_workers_of_the_wheel(installed, tmp_path):
    (tmp_path / "2p.json").write_text('["localhost:29517", "localhost:29518"]')
    words = ["train", "--config-file", "edvr_sample", "device", "cpu"]
    found = run(installed, tmp_path, "-m", "ascendvsr.training.launch", "2p.json", *words)
    assert found.returncode == 2
    assert "ended with status 2" in found.stderr
    assert "data/sample" in found.stderr


@pytest.mark.slow
def test_footage_is_restored_by_the_weights_of_the_wheel(installed, tmp_path, frame_folder):
    frame_folder("clip", count=2)
    found = run(installed, tmp_path, "-m", "ascendvsr", "restore", "clip", "restored", "--overwrite")
    assert found.returncode == 0, found.stderr
    assert len(list((tmp_path / "restored").glob("*.png"))) == 2


def test_the_requirements_say_what_is_true():
    text = (PROJECT / "setup.cfg").read_text()
    assert "python_requires = >=3.11, <3.14" in text  # TensorFlow has no wheel for 3.14
    markers = re.findall(r"^    (tensorflow(?:-cpu)?) >= [\d.]+; (.*)$", text, re.MULTILINE)
    from packaging.markers import Marker

    def wheel(system: str, machine: str) -> list[str]:
        platform = {"sys_platform": system, "platform_machine": machine}
        return [name for name, marker in markers if Marker(marker).evaluate(platform)]

    assert set(wheel("linux", "x86_64")) == {"tensorflow-cpu"}
    assert set(wheel("win32", "AMD64")) == {"tensorflow-cpu"}
    assert set(wheel("darwin", "arm64")) == {"tensorflow"}
    assert set(wheel("linux", "aarch64")) == {"tensorflow"}


def test_the_dockerfile_has_only_instructions_that_there_are_and_files_that_are_sent():
    lines = (PROJECT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    names = [name for name, _ in steps]
    assert names[0] == "FROM"
    assert {*names} <= {"FROM", "ARG", "RUN", "COPY", "ENV", "USER", "WORKDIR", "ENTRYPOINT", "CMD"}
    assert ":" in dict(steps)["FROM"], "an image without a version changes under one's feet"
    assert names.index("USER") < names.index("ENTRYPOINT"), "it runs as root"
    sent = {line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name in copied_by_the_dockerfile():
        assert (PROJECT / name).exists()
        assert name in sent, f"{name} is not sent to the builder"
    extras = re.search(r"\[\$\{EXTRA\},([\w,]+)\]", (PROJECT / "Dockerfile").read_text())[1].split(",")
    for extra in [*extras, "cpu", "gpu"]:
        assert re.search(rf"^{extra} =$", (PROJECT / "setup.cfg").read_text(), re.MULTILINE)
