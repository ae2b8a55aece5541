"""
The pure core: AMI events in, call events and requests out.

Nothing here opens a socket or a file, asks for the time, rolls dice or logs. What
the core needs to know is handed in, what it has to say is returned.
"""
