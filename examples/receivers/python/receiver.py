"""The smallest correct receiver in Python: verify, tell repeats, answer, then work.

    apt install python3-flask
    WEBHOOK_SECRET=… python3 receiver.py
"""

import hashlib
import hmac
import os
import queue
import threading
from collections import OrderedDict

from flask import Flask, abort, request

SECRET = os.environ["WEBHOOK_SECRET"].encode()
app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 2 << 20
work = queue.Queue(maxsize=1000)
seen, lock = OrderedDict(), threading.Lock()


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
    expected = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
    given = request.headers.get("X-IntelliDocs-Signature", "")
    if not hmac.compare_digest(expected.encode(), given.encode()):
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


if __name__ == "__main__":
    threading.Thread(target=worker, daemon=True).start()
    app.run("127.0.0.1", int(os.environ.get("PORT", "8080")))
