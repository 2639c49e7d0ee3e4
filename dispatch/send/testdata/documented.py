# The check that IntelliDocs documents, on lines of {secret, body, signature}.
import base64
import hashlib
import hmac
import json
import sys


def verify_webhook(secret, data, signature):
    payload = json.dumps(data, sort_keys=True).encode("utf-8")
    expected = "sha256=" + hmac.new(secret.encode("utf-8"), payload, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)


for line in sys.stdin:
    c = json.loads(line)
    try:
        ok = verify_webhook(c["secret"], json.loads(base64.b64decode(c["body"])), c["signature"])
    except ValueError:
        ok = False
    print("ok" if ok else "refused", flush=True)
