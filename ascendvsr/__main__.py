"""`python -m ascendvsr COMMAND ...`, which is the command `ascendvsr`."""

import sys

from ascendvsr.cli import main

if __name__ == "__main__":
    sys.exit(main())
