"""
Tells web applications what happens on the phones of an Asterisk PBX.
"""

__version__ = "0.1.0"
