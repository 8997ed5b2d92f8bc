"""The standard streams of a child process that speaks with its parent over them."""

import os
import sys
from typing import BinaryIO


def take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Take standard input and output for the conversation; nothing else can touch them then.

    Returns:
        What the parent sends, and where it listens.
    """
    source = os.fdopen(os.dup(0), "rb")
    sink = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    # Whatever native code prints goes to stderr: one stray byte would break the protocol.
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return source, sink
