"""
One door each to one outside thing: sockets, files, the service manager. Decisions are the core's.
"""
