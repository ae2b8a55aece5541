"""
The HTTP application inside the daemon: what people and their programs see of it, and steer.

`app` opens the listeners; `bridge` says what the application may ask of the running bridge.
"""
