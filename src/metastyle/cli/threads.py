"""How torch's idle threads wait: asleep, so that a busy machine is not kept busier by waiting.

Between two parallel pieces of work, OpenMP's threads spin for some milliseconds in case the next piece comes
at once. While anything else runs, spinning takes the processor from the very thread that is waited for; a
picture then takes several times as long (benchmarks/waiting.md).
"""

from __future__ import annotations

import os
import sys

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user decides this: the standard's, and those of GCC's, LLVM's and Intel's runtimes."""


def wait_asleep() -> None:
    """Let OpenMP's idle threads sleep, unless the user has decided.

    The runtime reads its settings while torch is loaded: afterwards this does nothing.
    """
    if "torch" not in sys.modules and not any(name in os.environ for name in SETTINGS):
        os.environ["OMP_WAIT_POLICY"] = "passive"
