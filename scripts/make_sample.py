"""Makes small data sets out of real photographs: python scripts/make_sample.py [data/sample]"""

import packages  # noqa: F401

# isort: split
import sys

from ascendvsr.demonstration.sample import main

if __name__ == "__main__":
    sys.exit(main())
