"""
Pops up who is calling, in every browser that has http://127.0.0.1:8080/ open.

Python 3.11 or newer, nothing else. ami-bridge posts its calls to /calls as JSON, with the
fields EventType and Extension; browsers hear of them by server-sent events.
"""

import contextlib
import json
import os
import queue
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PAGE = (Path(__file__).parent / "page.html").read_bytes()
#: What each browser that listens has still to hear.
browsers: set[queue.Queue[bytes]] = set()


class ScreenPop(BaseHTTPRequestHandler):
    """
    One request, of the bridge or of a browser.
    """

    def do_POST(self) -> None:
        """
        Hear of a call, and pass it on.
        """
        length = int(self.headers.get("content-length", 0))
        call = json.loads(self.rfile.read(length))
        for browser in tuple(browsers):
            browser.put(json.dumps(call).encode())
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:
        """
        Give the page, or what happens from now on.
        """
        is_stream = self.path == "/events"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if is_stream else "text/html")
        self.end_headers()
        if is_stream:
            self.tell()
        else:
            self.wfile.write(PAGE)

    def tell(self) -> None:
        """
        Tell a browser of calls until it goes away.
        """
        mine: queue.Queue[bytes] = queue.Queue()
        browsers.add(mine)
        try:
            self.wfile.write(b": listening\n\n")
            while True:
                self.wfile.write(b"data: %s\n\n" % mine.get())
        except ConnectionError:
            browsers.remove(mine)


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    print(f"open http://127.0.0.1:{port}/ in a browser; Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):
        ThreadingHTTPServer(("127.0.0.1", port), ScreenPop).serve_forever()
