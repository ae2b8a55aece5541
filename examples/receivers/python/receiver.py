"""
Takes call events from ami-bridge, signed as Standard Webhooks says, form or JSON.

Python 3.11 or newer, nothing else. Behind a proxy that speaks HTTPS, or to try it:
AMI_BRIDGE_SIGNING_SECRET=whsec_... PORT=8080 python3 receiver.py
"""

import base64
import hmac
import json
import os
import sqlite3
import time
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl

TOLERANCE_SECONDS = 300
LONGEST_BODY = 65536
#: Several while a secret is being changed. The key is what follows whsec_.
SECRETS = os.environ["AMI_BRIDGE_SIGNING_SECRET"].split()
KEYS = [base64.b64decode(secret.removeprefix("whsec_"), validate=True) for secret in SECRETS]

calls = sqlite3.connect(os.environ.get("CALLS_FILE", "calls.sqlite"), isolation_level=None)
calls.execute("CREATE TABLE IF NOT EXISTS calls (id TEXT PRIMARY KEY, call TEXT NOT NULL)")


def is_ours(headers: Message, body: bytes) -> bool:
    """
    Say whether a request is from the bridge, unchanged, and not a copy of an old one.
    """
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (webhook_id and timestamp.isascii() and timestamp.isdigit()):
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    # The octets as they came, before anything is made of them.
    signed = b"%s.%s.%s" % (webhook_id.encode(), timestamp.encode(), body)
    expected = [b"v1," + base64.b64encode(hmac.digest(key, signed, "sha256")) for key in KEYS]
    given = headers.get("webhook-signature", "").encode().split()
    return any(hmac.compare_digest(one, mine) for one in given for mine in expected)


class Receiver(BaseHTTPRequestHandler):
    """
    Keeps what the bridge tells, and answers 204 when it is kept.
    """

    timeout = 10  # seconds for a client that says nothing

    def do_POST(self) -> None:
        """
        Take one notification.
        """
        length = int(self.headers.get("content-length", LONGEST_BODY + 1))
        body = self.rfile.read(length) if 0 <= length <= LONGEST_BODY else b""
        self.send_response(self.take(body) if 0 <= length <= LONGEST_BODY else 413)
        self.end_headers()

    def take(self, body: bytes) -> int:
        """
        Keep the notification in *body*; give the status to answer with.
        """
        if not is_ours(self.headers, body):
            return 401
        if self.headers.get_content_type() == "application/json":
            call = json.loads(body)
        else:
            call = dict(parse_qsl(body.decode(), keep_blank_values=True))
        if "CallID" not in call:
            return 400
        # The key is the notification's id: a repetition is kept once, and answered like the first.
        row = (self.headers["webhook-id"], json.dumps(call, ensure_ascii=False))
        calls.execute("INSERT OR IGNORE INTO calls VALUES (?, ?)", row)
        return 204


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(os.environ.get("PORT", "8080"))), Receiver).serve_forever()
