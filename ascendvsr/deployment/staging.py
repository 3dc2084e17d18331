"""Exported files on their way to a folder: together, complete, and unmixed with another program's."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from ascendcv.utils.files import atomic_folder, atomic_path, user_id

REPORT = "export_report.json"


@contextlib.contextmanager
def staged(output: Path) -> Iterator[Path]:
    """Gives a folder whose files and folders go to `output`, in order of their making, when the block ends well.

    What two programs write at the same time is never mixed: the last one's files stay, all of them.
    """
    output.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=".tmp-export-", dir=output))
    try:
        yield stage
        with FileLock(_lock_of(output)):
            _keep_reports(stage / REPORT, output / REPORT)
            for entry in sorted(stage.iterdir(), key=lambda entry: entry.stat().st_mtime_ns):
                if entry.is_dir():
                    with atomic_folder(output / entry.name) as temporary:
                        temporary.rmdir()
                        entry.rename(temporary)
                else:
                    with atomic_path(output / entry.name) as temporary:
                        entry.rename(temporary)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _lock_of(folder: Path) -> Path:
    """A lock file for a folder, elsewhere: what is exported holds nothing else."""
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"ascendvsr-export-{user_id()}-{name}.lock"


def _keep_reports(new: Path, old: Path) -> None:
    """Enters into the report `new` what `old` tells of other files that are still there."""
    if not new.exists():
        return
    reports = json.loads(new.read_text())
    with contextlib.suppress(OSError, ValueError, AttributeError):
        before = json.loads(old.read_text()).items()
        reports = {file: each for file, each in before if (old.parent / file).exists()} | reports
    new.write_text(json.dumps(reports, indent=1) + "\n")
