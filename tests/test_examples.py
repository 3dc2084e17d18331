"""What is public is where one looks for it, with an example that runs."""

import doctest
import importlib
import inspect
import subprocess
import sys

import pytest

from tests.support import PROJECT

PACKAGES = (
    *("ascendcv.layers", "ascendcv.losses", "ascendcv.metrics", "ascendcv.ops", "ascendcv.runner"),
    *("ascendvsr", "ascendvsr.models"),
)
# Their examples would need a video, or are those of the commands.
SHOWN_ELSEWHERE = {"KerasRunner", "Settings", "build_model", "evaluate_model", "restore"}


def public(package: str) -> list:
    return [
        pytest.param(getattr(importlib.import_module(package), name), id=f"{package}.{name}")
        for name in importlib.import_module(package).__all__
        if not (package == "ascendvsr" and name in importlib.import_module("ascendvsr.models").__all__)
    ]


@pytest.mark.parametrize("value", [value for package in PACKAGES for value in public(package)])
def test_example(value):
    module = inspect.getmodule(value)
    examples = doctest.DocTestFinder(recurse=False).find(value, module=module, globs=vars(module).copy())
    if value.__name__ not in SHOWN_ELSEWHERE:
        assert any(example.examples for example in examples), f"{value.__name__} has no example"
    for example in examples:
        outcome = doctest.DocTestRunner().run(example)
        assert not outcome.failed


@pytest.mark.parametrize("package", [*PACKAGES, "ascendcv.layers.saving", "ascendcv.utils.lazy"])
def test_example_of_the_package(package: str):
    assert not doctest.testmod(importlib.import_module(package)).failed


def test_examples_of_the_documentation():
    assert not doctest.testfile(str(PROJECT / "docs/keras.md"), module_relative=False).failed


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_no_backend(package: str):
    program = f"import sys, {package}; print({{'keras', 'tensorflow', 'numpy'}} & sys.modules.keys())"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert process.stdout.strip() == "set()", process.stderr


def test_a_function_named_as_its_file_is_the_function():
    program = (
        "import ascendcv.ops.warp, ascendcv.losses.l1, ascendcv.ops\n"
        "from ascendcv.ops import warp, registry\n"
        "from ascendcv.ops.warp import warp as same\n"
        "assert warp is same is ascendcv.ops.warp and ascendcv.losses.l1.__name__ == 'l1'\n"
        "assert 'warp' in ascendcv.ops.__all__ and registry.OPERATIONS\n"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
