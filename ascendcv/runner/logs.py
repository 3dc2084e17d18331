"""Where a run's messages go."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def logging_to(
    *paths: str | os.PathLike | None, names: tuple[str, ...] = ("ascendcv", "ascendvsr")
) -> Iterator[None]:
    """Inside the block, messages of the loggers `names` go to the screen and to the end of files at once.

    Each line begins with the time: `2020-12-25 08:34:46 ...`. Without a path (a worker that is not the chief)
    only warnings are shown.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    files = [Path(path) for path in paths if path is not None]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(path))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.INFO if files else logging.WARNING)
        for handler in handlers:
            logger.addHandler(handler)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
            for handler in handlers:
                logger.removeHandler(handler)
        for handler in handlers:
            handler.close()
