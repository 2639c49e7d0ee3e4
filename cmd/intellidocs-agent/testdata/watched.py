"""Writes AI events while logrotate turns the file: watched.py LOG COUNT PAUSE_EVERY"""
import json, logging, logging.handlers, sys, time

path, count, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
handler = logging.handlers.WatchedFileHandler(path)
handler.setFormatter(logging.Formatter("[{asctime}] [{levelname}] [{name}] {message}", style="{"))
log = logging.getLogger("paperless.ai_webhooks")
log.setLevel(logging.INFO)
log.addHandler(handler)
for n in range(count):
    log.info(json.dumps({"event_type": "chaos", "n": n, "timestamp": "2025-11-14T15:00:00Z"}))
    if pause and n % pause == 0:
        time.sleep(0.005)
