"""
Hostile input: what must hold whatever comes, and two ways to look for what breaks it.
"""
