"""
Resident memory: over a million replayed events, and with 10,000 calls open at once.

The load recording is replayed again and again with other unique ids, through protocol,
correlator and rules; memory has to be flat.

    python benchmarks/memory.py [EVENTS]
"""

import asyncio
import gzip
import logging
import re
import sys
from functools import partial
from pathlib import Path
from unittest.mock import Mock

from ami_bridge.adapters.ami_protocol import AmiProtocol, Batch
from ami_bridge.pipeline import Pipeline
from ami_bridge.settings import Config

RECORDING = (
    Path(__file__).parent.parent / "fixtures" / "load" / "calls-120-per-second" / "recording.ami.gz"
)
READ = 65_536
OPEN_CALLS = 10_000
_UNIQUEID = re.compile(rb"\b(1\d{9})\.(\d+)")


def resident() -> float:
    """
    Give the resident memory of this process in MB.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def listener() -> tuple[AmiProtocol, Pipeline]:
    """
    Make a protocol whose events are correlated.
    """
    pipeline = Pipeline(Config())

    def hear(batch: Batch) -> None:
        pipeline.take((heard.ami_event, heard.time) for heard in batch)

    protocol = AmiProtocol(hear)
    protocol.connection_made(Mock())
    return protocol, pipeline


def replay(events: int) -> None:
    """
    Replay *events* events and print the memory at 10, 50 and 100 %.
    """
    protocol, pipeline = listener()
    data = gzip.decompress(RECORDING.read_bytes())
    whole = data.count(b"\nEvent: ")
    rounds = -(-events // whole)
    marks = {max(1, round(rounds * share)): share for share in (0.1, 0.5, 1.0)}
    for number in range(1, rounds + 1):
        start = 0
        while start < len(data):
            # Cut where a message ends, so that no unique id is cut in two.
            end = data.rfind(b"\r\n\r\n", start, start + READ * 64) + 4
            part = _UNIQUEID.sub(partial(_later, number), data[start:end])
            for at in range(0, len(part), READ):
                protocol.data_received(part[at : at + READ])
            start = end
        if number in marks:
            print(f"{number * whole:>9,} events: {resident():6.1f} MB")
    print(f"channels left: {len(pipeline.correlator.channels)}")


def _later(number: int, found: re.Match[bytes]) -> bytes:
    return b"%d.%b" % (int(found[1]) + number * 100_000, found[2])


def open_calls() -> None:
    """
    Open many calls at once and print what they take.
    """
    protocol, pipeline = listener()
    before = resident()
    for number in range(OPEN_CALLS):
        protocol.data_received(_call(number))
    now = resident()
    legs = len(pipeline.correlator.open_legs)
    print(f"{OPEN_CALLS:,} calls open ({legs:,} legs): {now:.1f} MB, {now - before:.1f} more")


def _call(number: int) -> bytes:
    caller, callee = 2 * number, 2 * number + 1
    own = _channel("", f"PJSIP/0003*{number % 1000:03}-{caller:08x}", caller, caller, 4)
    dialled = _channel("", f"PJSIP/0004*{number % 1000:03}-{callee:08x}", callee, caller, 0)
    destination = _channel("Dest", f"PJSIP/0004*{number % 1000:03}-{callee:08x}", callee, caller, 0)
    return (
        f"Event: Newchannel\r\nPrivilege: call,all\r\n{own}\r\n"
        f"Event: Newchannel\r\nPrivilege: call,all\r\n{dialled}\r\n"
        f"Event: DialBegin\r\nPrivilege: call,all\r\n{own}{destination}DialString: x\r\n\r\n"
        f"Event: Newstate\r\nPrivilege: call,all\r\n"
        f"{dialled.replace('ChannelState: 0', 'ChannelState: 6')}\r\n"
    ).encode()


def _channel(prefix: str, name: str, number: int, call: int, state: int) -> str:
    values = {
        "Channel": name,
        "ChannelState": state,
        "ChannelStateDesc": "x",
        "CallerIDNum": f"0003*{number % 1000:03}",
        "CallerIDName": f"Somebody {number}",
        "ConnectedLineNum": "<unknown>",
        "ConnectedLineName": "<unknown>",
        "Language": "en",
        "AccountCode": "",
        "Context": "internal",
        "Exten": f"0004*{number % 1000:03}",
        "Priority": 1,
        "Uniqueid": f"1795000000.{number}",
        "Linkedid": f"1795000000.{call}",
    }
    return "".join(f"{prefix}{header}: {value}\r\n" for header, value in values.items())


async def main(events: int) -> None:
    """
    Measure and print.
    """
    logging.disable()
    open_calls()
    replay(events)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
