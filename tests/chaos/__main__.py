"""
``python -m tests.chaos``: a long run, and its table.
"""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from ami_bridge.adapters.simulator import Playing

from .run import Outcome, Plan, Run, table

#: So many findings of each kind are told in full.
_TOLD = 10


def main() -> int:
    """
    Run as the command line says; 0 means that nothing was lost, extra or out of order.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=None, help="of a run that is to be repeated")
    parser.add_argument("--rate", type=float, default=3.0, help="calls that begin in a second")
    parser.add_argument("--play", choices=["live", "hold"], default="live")
    options = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    # The end takes its time, too.
    seconds = options.minutes * 60 * 0.9
    plan = Plan(options.faults, seconds, seed, options.rate, Playing(options.play))
    print(f"seed {seed}: {plan.faults} faults in {seconds / 60:.1f} minutes", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="ami-bridge-chaos-"))
    outcome = asyncio.run(Run(plan, folder).run())
    report(outcome)
    if outcome.faultless:
        shutil.rmtree(folder)
        return 0
    print(f"the bridge's log: {folder / 'bridge.log'}")
    return 1


def report(outcome: Outcome) -> None:
    """
    Print the table, and what is behind its bad numbers.
    """
    print("\n".join(table(outcome)))
    print(
        f"{outcome.calls} calls, {outcome.owed} notifications that must be told, "
        f"{outcome.requests} requests, {outcome.given_up} given up after a redirect, "
        f"{outcome.seconds:.0f} s, seed {outcome.plan.seed}"
    )
    for sentence in outcome.left_out:
        print(f"LEFT OUT: {sentence}")
    if outcome.bad_ends:
        print(f"bad ends of the bridge: {outcome.bad_ends}")
    by_kind = defaultdict(list)
    for finding in outcome.findings:
        by_kind[finding.what, finding.blamed].append(finding)
    for (what, blamed), findings in by_kind.items():
        if what in ("lost", "extra", "disordered", "changed", "phantom"):
            print(f"{what} ({blamed}):")
            print("\n".join(f"    {finding.detail}" for finding in findings[:_TOLD]))


if __name__ == "__main__":
    sys.exit(main())
