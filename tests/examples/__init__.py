"""
The programs in examples/, as the documentation shows them, against the bridge's own sender.

Where a language is missing its tests are skipped and say why;
``AMI_BRIDGE_REQUIRE_EXAMPLES=1`` makes them fail instead.
"""
