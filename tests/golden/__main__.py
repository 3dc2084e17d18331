"""python -m tests.golden PATH... [--impl tf|fused|npu|auto] [--family NAME]

Rebuilds the golden cases in files and folders and prints one row for each: its name, its kind, the worst
difference in units of its tolerance, that tolerance, and where it is. The exit status is 1 if a case failed and
2 if there was none. KERAS_BACKEND chooses the backend.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")  # matrix products of GPUs in full float32, as on the CPU

from tests.golden.case import case_files, family_of
from tests.golden.run import Result, run_file


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__.split("\n\n")[1])
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a case's .json, or a folder")
    parser.add_argument("--impl", choices=("tf", "fused", "npu", "auto"), help="the implementation of ops")
    parser.add_argument("--family", help="run the cases of this family only")
    options = parser.parse_args(arguments)
    for path in options.paths:
        if not path.exists():
            parser.error(f"{path} does not exist")
    files = list(case_files(options.paths))
    if options.family:
        files = [file for file in files if family_of(file) in (options.family, None)]
    if not files:
        print("no golden case found", file=sys.stderr)
        return 2
    failed = left_out = 0
    for file in files:
        result = run_file(file, options.impl)
        print(_row(result), flush=True)
        print(result.trace, end="", file=sys.stderr, flush=True)
        failed += not result.passed
        left_out += bool(result.left_out)
    computed = len(files) - left_out
    print(f"{computed - failed} of {computed} cases passed")
    return 1 if failed else 0


def _row(result: Result) -> str:
    if result.left_out:
        return f"     {result.name:40} {result.kind:10} left out: {result.left_out}"
    worst = result.worst
    figures = f"{worst.ratio:9.3f} of {worst.tolerance:8.2e}  {worst}" if worst else ""
    row = f"{'ok  ' if result.passed else 'FAIL'} {result.name:40} {result.kind:10} {figures}"
    return "\n".join([row.rstrip(), *(f"     {line}" for line in result.failures())])


if __name__ == "__main__":
    sys.exit(main())
