"""
The command on a terminal, for tests of what a person sees.
"""

import os
import pty
import subprocess
import sys


def on_terminal(*arguments: str) -> str:
    """
    Run the command on a terminal; give what is seen there.
    """
    terminal, its_end = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "ami_bridge", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=its_end,
            stderr=its_end,
        ):
            os.close(its_end)
            seen = b""
            while True:
                try:
                    piece = os.read(terminal, 65_536)
                except OSError:  # nobody has the terminal any more
                    break
                seen += piece
    finally:
        os.close(terminal)
    return seen.decode()
