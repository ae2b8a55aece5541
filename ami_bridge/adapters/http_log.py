"""
The log of our HTTP servers: what somebody sends who is no good client is told in one line.
"""

import logging


def http_log(name: str) -> logging.Logger:
    """
    Give the logger called *name* for a server of aiohttp, which would log tracebacks.

    A request that is no HTTP, and a client that goes away, are not our errors.
    """
    log = logging.getLogger(name)
    log.addFilter(_in_one_line)
    return log


def _in_one_line(record: logging.LogRecord) -> bool:
    if record.exc_info and (error := record.exc_info[1]) is not None:
        reason = " ".join(str(error).split()) or type(error).__name__
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {reason}", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
