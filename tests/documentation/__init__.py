"""
What the documentation says, against the code that it is about.
"""
