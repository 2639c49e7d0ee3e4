"""The smallest correct receiver in Python: verify, tell repeats, answer, then work.

    apt install python3-flask
    WEBHOOK_SECRET=… python3 receiver.py
"""

import base64
import hashlib
import hmac
import os
import queue
import threading
import time
from collections import OrderedDict

from flask import Flask, abort, request

SECRET = os.environ["WEBHOOK_SECRET"]
KEY = base64.b64decode(SECRET[len("whsec_") :]) if SECRET.startswith("whsec_") else SECRET.encode()
TOLERANCE = 5 * 60  # seconds: what is older was recorded and sent again

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 2 << 20
work = queue.Queue(maxsize=1000)
seen, lock = OrderedDict(), threading.Lock()


def verified(headers, body):
    """Standard Webhooks: id, time and body are signed; while a secret is changed, with each."""
    event_id, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    digest = hmac.digest(KEY, f"{event_id}.{sent}.".encode() + body, hashlib.sha256)
    expected = b"v1," + base64.b64encode(digest)
    signatures = headers.get("webhook-signature", "").split()
    return (
        any(hmac.compare_digest(expected, given.encode()) for given in signatures)
        and abs(time.time() - int(sent)) <= TOLERANCE
    )


def process(event_id, event):
    print("processed", event_id, event["event_type"], flush=True)


def worker():
    while True:
        try:
            process(*work.get())
        except Exception:
            app.logger.exception("an event could not be processed")


@app.post("/hook")
def hook():
    body = request.get_data()  # as it came: the signature is over these bytes
    if not verified(request.headers, body):
        abort(401)
    event, event_id = request.get_json(), request.headers["webhook-id"]
    with lock:
        if event_id in seen:  # a repeat: taken before
            return "", 204
        try:
            work.put_nowait((event_id, event))
        except queue.Full:
            abort(503)  # it will come again
        seen[event_id] = True
        if len(seen) > 10_000:
            seen.popitem(last=False)
    return "", 204


threading.Thread(target=worker, daemon=True).start()
if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ.get("PORT", "8080")))
