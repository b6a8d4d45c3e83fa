"""``python -m metastyle`` is the ``metastyle`` command."""

import sys

from metastyle.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
