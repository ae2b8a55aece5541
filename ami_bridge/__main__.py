"""
``python -m ami_bridge`` is the command ``ami-bridge``.
"""

from ami_bridge.cli import main

main()
