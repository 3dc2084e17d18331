"""The entry point of old: `python tools/main.py --config-file F mode train KEY VALUE ...`."""

import sys

from ascendvsr.cli import main

if __name__ == "__main__":
    sys.exit(main())
