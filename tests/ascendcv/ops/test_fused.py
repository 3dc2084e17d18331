"""Building the compiled kernels: once, by whoever comes first, and with a clear word where it cannot be done."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ascendcv.ops import fused, registry
from tests.support import PROJECT

LOAD = "from ascendcv.ops import fused; fused.load('correlation'); print(fused.library())"
AUTO = """
import warnings
from ascendcv.ops import registry
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    chosen = {registry.chosen(operation) for operation in registry.OPERATIONS}
print(chosen, [str(warning.message) for warning in caught if "compiled kernels" in str(warning.message)])
print(registry.explain("correlation"))
"""


def start(code: str, **environment: str) -> subprocess.Popen:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(PROJECT)} | environment
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, **pipes)


def test_processes_that_start_together_build_once(tmp_path: Path):
    """Also over a truncated library, which is not loaded."""
    calls, compiler = tmp_path / "calls", tmp_path / "g++"
    compiler.write_text(f'#!/bin/sh\necho call >> {calls}\nPATH={os.environ["PATH"]} exec g++ "$@"\n')
    compiler.chmod(0o755)
    environment = {
        "CXX": str(compiler),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "ASCENDCV_CXXFLAGS": "-O0",  # to be quick: these flags come last
    }
    key = start("from ascendcv.ops import fused; print(fused._key())", **environment).communicate()[0].strip()
    library = tmp_path / f"cache/ascendcv/fused-{key}.so"
    library.parent.mkdir(parents=True)
    library.write_bytes(fused.library().read_bytes()[:100_000])

    processes = [start(LOAD, **environment) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [out.strip() for out, _ in outputs] == [str(library)] * 2, outputs
    assert calls.read_text() == "call\n"


def test_only_a_whole_library_of_our_own_is_loaded(tmp_path: Path):
    content, path = fused.library().read_bytes(), tmp_path / "fused.so"
    for wrong in (b"", content[:-1], content[:4096], content[:-32], b"\x7fELF" + bytes(4096)):
        path.write_bytes(wrong)
        assert not fused._whole(path)
    assert not fused._whole(tmp_path / "missing.so")
    path.write_bytes(content)
    assert fused._whole(path)


def test_another_source_or_flag_is_another_library(monkeypatch, tmp_path: Path):
    key = fused._key()
    assert key == fused._key()
    monkeypatch.setenv("ASCENDCV_CXXFLAGS", "-O1")
    assert fused._key() != key
    monkeypatch.delenv("ASCENDCV_CXXFLAGS")
    for source in fused.SOURCES.iterdir():
        (tmp_path / source.name).write_text(source.read_text())
    monkeypatch.setattr(fused, "SOURCES", tmp_path)
    assert fused._key() == key
    (tmp_path / "common.h").write_text((tmp_path / "common.h").read_text() + "\n")
    assert fused._key() != key


def test_without_a_compiler_auto_composes_after_one_warning(tmp_path: Path):
    environment = {"PATH": str(tmp_path), "CXX": "", "XDG_CACHE_HOME": str(tmp_path)}
    out, err = start(AUTO, **environment).communicate()
    assert out.startswith("{'tf'}"), err
    assert out.count("install g++") == 2  # the warning and the explanation
    code = "from ascendcv.ops import registry; registry.resolve('correlation', 'fused')"
    _, err = start(code, **environment).communicate()
    assert "InputError: correlation has no implementation 'fused' here: the compiled kernels need" in err


def test_a_build_that_fails_tells_the_compilers_last_lines(tmp_path: Path):
    environment = {"XDG_CACHE_HOME": str(tmp_path), "ASCENDCV_CXXFLAGS": "-fno-such-option"}
    out, _ = start(AUTO, **environment).communicate()
    assert out.startswith("{'tf'}")
    assert "unrecognized command-line option" in out
    assert not list(tmp_path.glob("ascendcv/*.so"))


def test_a_cache_that_cannot_be_written_is_replaced_by_a_private_one(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = fused._cache_folder()
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0
    monkeypatch.setattr("tempfile.tempdir", "/dev/null")
    with pytest.raises(fused.BuildError, match="cannot be written"):
        fused._cache_folder()


def test_building_ahead_says_where_and_checks():
    run = subprocess.run(
        [sys.executable, "-m", "ascendcv.ops.fused"], cwd=PROJECT, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stderr
    assert str(fused.library()) in run.stdout
    for operation in registry.OPERATIONS:
        assert f"{operation}: agrees with the composed operation" in run.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on PATH")
def test_with_nvcc_the_operations_have_kernels_for_gpus_too(monkeypatch, tmp_path: Path):
    """For the GPUs from A100 to H100; whether they compute the same takes such a GPU."""
    monkeypatch.setenv("ASCENDCV_CXXFLAGS", "-O0")  # to be quick
    library = tmp_path / "fused.so"
    fused._build(library, ["sm_80", "sm_86", "sm_89", "sm_90"])
    code = f"""
import tensorflow as tf
from tensorflow.python.framework import kernels
tf.load_op_library({str(library)!r})
for name in ("DeformConv2D", "DeformAttn", "Correlation"):
    for operation in (name, name + "Grad"):
        found = kernels.get_registered_kernels_for_op("Ascendcv>" + operation).kernel
        print(operation, *sorted(kernel.device_type for kernel in found))
"""
    out, err = start(code).communicate()
    names = ("DeformConv2D", "DeformAttn", "Correlation")
    assert out.split("\n")[:-1] == [f"{name}{suffix} CPU GPU" for name in names for suffix in ("", "Grad")], err


@pytest.mark.slow
def test_sanitizers_find_nothing_in_the_kernels(tmp_path: Path):
    """AddressSanitizer and UBSan over all cases of test_fused_kernels.

    With the checks that are switched off GCC refuses some constants in TensorFlow's headers.
    """
    flags = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined"
    flags += " -fno-sanitize=null,nonnull-attribute,returns-nonnull-attribute"
    names = ("libasan.so", "libubsan.so", "libstdc++.so")
    found = [subprocess.check_output(["g++", f"-print-file-name={name}"], text=True).strip() for name in names]
    if not all(Path(path).is_absolute() for path in found):
        pytest.skip("g++ comes without sanitizers here")
    environment = {
        "XDG_CACHE_HOME": str(tmp_path),
        "ASCENDCV_CXXFLAGS": flags,
        "LD_PRELOAD": " ".join(found),
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1",  # Python and TensorFlow leak by design
    }
    tests = ["tests/ascendcv/ops/test_fused_kernels.py", "-k", "not threads", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-q", *tests]
    run = subprocess.run(command, cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    assert b"__asan_report_load" in next(tmp_path.glob("ascendcv/*.so")).read_bytes()
