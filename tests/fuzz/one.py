"""
One target under atheris: its name is the first argument, the rest is libFuzzer's.
"""

import sys

import atheris

with atheris.instrument_imports(include=["ami_bridge"]):
    from tests.fuzz import targets

if __name__ == "__main__":
    target = getattr(targets, sys.argv.pop(1))
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
