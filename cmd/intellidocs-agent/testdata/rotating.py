"""Writes AI events with Python's RotatingFileHandler: rotating.py LOG COUNT PAUSE_EVERY"""
import json, logging, logging.handlers, sys, time

path, count, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
handler = logging.handlers.RotatingFileHandler(path, maxBytes=30_000, backupCount=5000, encoding="utf-8")
handler.setFormatter(logging.Formatter("[{asctime}] [{levelname}] [{name}] {message}", style="{"))
logging.basicConfig(level=logging.INFO, handlers=[handler])
events, other = logging.getLogger("paperless.ai_webhooks"), logging.getLogger("paperless.consumer")
for n in range(count):
    events.info(json.dumps({"event_type": "chaos", "n": n, "timestamp": "2025-11-14T15:00:00Z", "text": "Grüße, 世界"}))
    if n % 7 == 0:
        other.info("Consuming document %d", n)
    if pause and n % pause == 0:
        time.sleep(0.005)
