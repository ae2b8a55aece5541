"""
Looks for bytes that break a target, guided by which code they reach.

    python -m tests.fuzz [TARGET...] [--seconds S]

Needs atheris (the extra ``fuzz``). Input that broke something is left in a file, whose name
is printed; it becomes a test in tests/fuzz/test_found.py.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

TARGETS = ("parser", "correlator", "rules")
_ROOT = Path(__file__).parent.parent.parent
#: Longest input, in octets: some fifty AMI messages.
_LONGEST = 40_000


def main() -> int:
    """
    Fuzz one target after the other, each in a process of its own.
    """
    options = argparse.ArgumentParser(prog="python -m tests.fuzz")
    options.add_argument("targets", nargs="*", default=TARGETS, metavar="TARGET")
    options.add_argument("--seconds", type=int, default=60, help="how long each target takes")
    given = options.parse_args()
    for target in given.targets:
        print(f"fuzzing the {target} for {given.seconds} s", flush=True)
        with tempfile.TemporaryDirectory() as corpus:
            _sow(target, Path(corpus))
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "tests.fuzz.one",
                    target,
                    corpus,
                    f"-max_total_time={given.seconds}",
                    f"-max_len={_LONGEST}",
                    "-print_final_stats=1",
                    "-verbosity=0",
                ],
                check=False,
            )
        if done.returncode:
            print(f"the {target} was broken; the input is in the file named above")
            return 1
    return 0


def _sow(target: str, corpus: Path) -> None:
    """
    Begin with what is known to be good.
    """
    if target == "rules":
        sources = [_ROOT / "rules.toml"]
    else:
        sources = sorted((_ROOT / "fixtures").glob("asterisk*/*/recording.ami"))[::4]
    for number, source in enumerate(sources):
        (corpus / str(number)).write_bytes(source.read_bytes()[:_LONGEST])


if __name__ == "__main__":
    sys.exit(main())
