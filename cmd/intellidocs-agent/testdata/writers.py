"""Writes AI events as people's loggers do: writers.py KIND PATH FROM COUNT

Each event has its number n; the logger is IntelliDocs' paperless.ai_webhooks.
"""
import json, logging, logging.handlers, sys

kind, path, start, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
name = "paperless.ai_webhooks"
verbose = logging.Formatter("[{asctime}] [{levelname}] [{name}] {message}", style="{")


def event(n):
    return {"event_type": "scenario", "n": n, "timestamp": "2025-11-14T15:00:00Z", "text": "Grüße, 世界 %d" % n}


def stdlib(handler, formatter=verbose):
    handler.setFormatter(formatter)
    log = logging.getLogger(name)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return log


def write(emit):
    for n in range(start, start + count):
        emit(event(n))


if kind == "rotating":
    log = stdlib(logging.handlers.RotatingFileHandler(path, maxBytes=5000, backupCount=100, encoding="utf-8"))
    write(lambda e: log.info(json.dumps(e)))
elif kind == "timed":
    handler = logging.handlers.TimedRotatingFileHandler(path, when="S", backupCount=100, encoding="utf-8")
    log = stdlib(handler)

    def emit(e):
        if e["n"] % 40 == 0:
            handler.rolloverAt = 0  # as if a second had passed
            handler.suffix = "%Y-%m-%d_%H-%M-%S" + "_%03d" % e["n"]
        log.info(json.dumps(e))

    write(emit)
elif kind == "concurrent":
    from concurrent_log_handler import ConcurrentRotatingFileHandler

    log = stdlib(ConcurrentRotatingFileHandler(path, maxBytes=5000, backupCount=100, encoding="utf-8"))
    write(lambda e: log.info(json.dumps(e)))
elif kind == "watched":
    log = stdlib(logging.handlers.WatchedFileHandler(path, encoding="utf-8"))
    write(lambda e: log.info(json.dumps(e)))
elif kind == "basic":
    logging.basicConfig(filename=path, level=logging.INFO)  # INFO:paperless.ai_webhooks:{…}
    log = logging.getLogger(name)
    write(lambda e: log.info(json.dumps(e)))
elif kind == "python-json-logger":
    from pythonjsonlogger import jsonlogger

    log = stdlib(logging.FileHandler(path, encoding="utf-8"), jsonlogger.JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    write(lambda e: log.info("AI event", extra={"event": e}))
elif kind == "structlog":
    import structlog

    structlog.configure(
        processors=[
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    logging.basicConfig(filename=path, level=logging.INFO, format="%(message)s")
    log = structlog.get_logger(name)
    write(lambda e: log.info("AI event", data=e))
elif kind == "loguru":
    from loguru import logger

    logger.remove()
    logger.add(path, serialize=True, format="[{time}] [{level}] [" + name + "] {message}")
    write(lambda e: logger.opt(raw=False).info("{}", json.dumps(e)))
else:
    sys.exit("no such kind: " + kind)
