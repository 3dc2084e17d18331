"""Makes the tables of operations that `ascendvsr export --check` compares with, from public sources.

    python scripts/operator_tables.py ascend OPS_MATH OPS_CV OPS_NN
    python scripts/operator_tables.py openvino-npu NPU_COMPILER
    python scripts/operator_tables.py litert LITERT

The arguments are clones, bare or not, of what `SOURCES` names. Facts alone are taken: names, and their versions.
"""

import collections
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "ascendvsr/deployment/operator_tables"

# target -> repositories, and the files of each that name operations
SOURCES = {
    "ascend": [
        (f"https://github.com/hicann/{name}", "*onnx_plugin*.cpp") for name in ("ops-math", "ops-cv", "ops-nn")
    ],
    "openvino-npu": [("https://github.com/openvinotoolkit/npu_compiler", "src/vpux_compiler/src/frontend/IE.cpp")],
    "litert": [("https://github.com/google-ai-edge/LiteRT", "tflite/core/kernels/register.cc")],
}
# A registration by its parts: name, then the first and last version.
_ASCEND = re.compile(r"ai\.onnx::(\d+)::(\w+)")
_NPU = re.compile(r"MAP_ENTRY\(ov::(?:op::)?(\w+)::(\w+)\)")
_LITERT = re.compile(r"AddBuiltin\(\s*BuiltinOperator_(\w+),([^;]*)\);")


def ascend(text: str) -> dict[str, set[int]]:
    """Name -> the opsets that it is registered for."""
    found = collections.defaultdict(set)
    for opset, name in _ASCEND.findall(text):
        found[name].add(int(opset))
    return found


def openvino_npu(text: str) -> dict[str, set[int]]:
    """Name -> the operation sets that the compiler takes it from."""
    found = collections.defaultdict(set)
    for space, name in _NPU.findall(text):
        found[name].add(int(re.sub(r"\D", "", space) or 0))
    return found


def litert(text: str) -> dict[str, set[int]]:
    """Name -> the versions that the interpreter has; 1 where none are named."""
    found = {}
    for name, rest in _LITERT.findall(text):
        versions = [int(number) for number in re.findall(r"(?<![\w.])\d+", rest)] or [1, 1]
        found[name] = set(range(versions[0], versions[-1] + 1))
    return found


_READERS = {"ascend": ascend, "openvino-npu": openvino_npu, "litert": litert}


def main(arguments: Sequence[str]) -> int:
    """Writes the table of the target that comes first, from the clones after it."""
    if len(arguments) < 2 or len(arguments) - 1 != len(SOURCES.get(arguments[0], ())):
        print(__doc__, file=sys.stderr)
        return 2
    target, *clones = arguments
    sources, operations = [], collections.defaultdict(set)
    for clone, (repository, files) in zip(clones, SOURCES[target], strict=True):
        commit, date = _git(clone, "log", "-1", "--format=%H %cs").split()
        sources.append({"repository": repository, "commit": commit, "date": date, "files": files})
        names = _git(clone, "ls-tree", "-r", "--name-only", "HEAD").splitlines()
        for name in names:
            if Path(name).match(files):
                for operation, versions in _READERS[target](_git(clone, "show", f"HEAD:{name}")).items():
                    operations[operation] |= versions
    table = {name: _ranges(versions) for name, versions in sorted(operations.items())}
    FOLDER.mkdir(exist_ok=True)
    content = {"sources": sources, "operations": table}
    (FOLDER / f"{target}.json").write_text(json.dumps(content, indent=1) + "\n")
    print(f"{target}: {len(table)} operations")
    return 0


def _ranges(numbers: set[int]) -> str:
    """{8, 9, 11} -> '8-9 11'."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _git(clone: str, *arguments: str) -> str:
    return subprocess.run(["git", "-C", clone, *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
