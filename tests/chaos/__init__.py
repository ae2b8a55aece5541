"""
Faults at random while calls go on, and a judgement from outside of what the receivers heard.

``python -m tests.chaos --faults 200 --minutes 15`` plays recorded calls and prints the table,
``python -m tests.chaos.real`` has a real Asterisk and telephones (it needs root).
"""
