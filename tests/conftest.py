"""
What holds for all tests.
"""

import signal


def pytest_configure() -> None:
    """
    Hear interrupts also where the shell ignores them for a job in its background.

    Tests send them to programs, which inherit what holds here.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
