"""Writes AI events from several processes as IntelliDocs does: concurrent.py LOG COUNT PAUSE_EVERY [PROCESSES]"""
import json, logging, multiprocessing, sys, time

from concurrent_log_handler import ConcurrentRotatingFileHandler


def work(path, worker, workers, count, pause):
    handler = ConcurrentRotatingFileHandler(path, maxBytes=30_000, backupCount=5000)
    handler.setFormatter(logging.Formatter("[{asctime}] [{levelname}] [{name}] {message}", style="{"))
    log = logging.getLogger("paperless.ai_webhooks")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    for i, n in enumerate(range(worker, count, workers)):
        log.info(json.dumps({"event_type": "chaos", "n": n, "timestamp": "2025-11-14T15:00:00Z"}))
        if pause and i % pause == 0:
            time.sleep(0.005)


if __name__ == "__main__":
    path, count, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    workers = int(sys.argv[4]) if len(sys.argv) > 4 else 4
    jobs = [multiprocessing.Process(target=work, args=(path, w, workers, count, pause)) for w in range(workers)]
    for j in jobs:
        j.start()
    for j in jobs:
        j.join()
    sys.exit(max(j.exitcode for j in jobs))
