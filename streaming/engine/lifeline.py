"""The end of an engine process in the midst of a step: nothing is lost by it, and somebody waits.

Knows that the gateway holds the other end of stdin, and lets go of it when it wants no engine any
more or has died. Does not know the loop, which ends by itself where it comes round in time.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import NoReturn

# So long the loop may take to end by itself. A step lasts milliseconds, but on a machine that is
# busy with other work it can last for seconds, and what is compiled at the start too.
GRACE_S = 1.0


def end() -> NoReturn:
    """Ends the process at once; what was sent and logged is out.

    The interpreter would first take everything apart, object by object: seconds for gigabytes of
    weights and the compiler's programs.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def hold() -> None:
    """Ends this process `GRACE_S` after its stdin has been closed, whatever it is doing."""
    threading.Thread(target=_hold, name="lifeline", daemon=True).start()


def _hold() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    time.sleep(GRACE_S)
    end()
