"""The entry point of old: `python tools/main.py --config-file F mode train KEY VALUE ...`."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))  # a clone that is not installed

from ascendvsr.cli import main

if __name__ == "__main__":
    sys.exit(main())
