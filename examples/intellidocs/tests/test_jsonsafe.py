import collections
import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from unittest import TestCase

from django.db import models
from django.utils.functional import SimpleLazyObject, lazystr
from django.utils.safestring import mark_safe
from documents.models import Correspondent
from intellidocs_events.jsonsafe import MAX_DEPTH, MAX_VALUES, jsonable


class Status(models.TextChoices):
    PENDING = "pending", "Pending"


class Weight(enum.IntEnum):
    HEAVY = 3


@dataclasses.dataclass
class Range:
    earliest: datetime.date
    latest: object = None


class Broken:
    def __str__(self):
        raise RuntimeError("no text")


class Scalar:
    """As NumPy has them: no number to Python."""

    def tolist(self):
        return 0.5


class BrokenMapping(dict):
    def items(self):
        raise RuntimeError("no items")


def through(value):
    """The value as a strict JSON reader sees it."""

    def refuse(name):
        raise ValueError(f"{name} is not JSON")

    text = json.dumps(jsonable(value), allow_nan=False)
    assert text.isascii() and "\n" not in text, text
    return json.loads(text, parse_constant=refuse)


class JSONSafeTest(TestCase):
    def test_what_json_has_is_untouched(self):
        value = {"a": [1, -2.5, True, None, "é 📄 \u2028 \x00"], "b": {"c": {}}, "big": 10**40}
        self.assertEqual(through(value), value)

    def test_values_json_lacks(self):
        utc = datetime.timezone.utc
        loop = []
        loop.append(loop)
        for value, want in [
            (datetime.datetime(2025, 11, 14, 15, 0, 0, 123456, utc), "2025-11-14T15:00:00.123456+00:00"),
            (datetime.date(2025, 11, 14), "2025-11-14"),
            (datetime.time(15, 0), "15:00:00"),
            (datetime.timedelta(hours=1), "P0DT01H00M00S"),
            (decimal.Decimal("1.10"), "1.10"),
            (decimal.Decimal("NaN"), None),
            (float("nan"), None),
            (float("-inf"), None),
            (lazystr("lazy"), "lazy"),
            (SimpleLazyObject(lambda: "later"), "later"),
            (mark_safe("<b>"), "<b>"),
            (Status.PENDING, "pending"),
            (Weight.HEAVY, 3),
            ({3, 1, 2}, [1, 2, 3]),
            (frozenset("ba"), ["a", "b"]),
            ((1, 2), [1, 2]),
            (collections.deque([1]), [1]),
            ((n for n in (1, 2)), [1, 2]),
            ({"a": 1}.keys(), ["a"]),
            (collections.OrderedDict(a=1), {"a": 1}),
            (b"text", "text"),
            (b"\xff\xfe", "//4="),
            (bytearray(b"x"), "x"),
            (memoryview(b"x"), "x"),
            (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            (pathlib.PurePosixPath("/a/b"), "/a/b"),
            (Correspondent(id=7, name="Acme"), {"id": 7, "name": "Acme"}),
            (Range(datetime.date(2025, 1, 1)), {"earliest": "2025-01-01", "latest": None}),
            ("a\ud800b", "a\ufffdb"),
            ("\ud83d\udcc4", "\U0001f4c4"),
            (10**5000, hex(10**5000)),
            (Scalar(), 0.5),
            (Scalar, str(Scalar)),
            (Broken(), "<Broken>"),
            ([Broken(), 1], ["<Broken>", 1]),
            (loop, ["<circular>"]),
        ]:
            with self.subTest(type=type(value).__name__):
                self.assertEqual(through({"v": value}), {"v": want})

    def test_keys_become_strings_and_none_is_lost(self):
        got = through({1: "a", "1": "b", None: "c", False: "d", uuid.UUID(int=1): "e", lazystr("k"): "f", (1, 2): "g"})
        want = {"1": "a", "1 (2)": "b", "null": "c", "false": "d", str(uuid.UUID(int=1)): "e", "k": "f", "(1, 2)": "g"}
        self.assertEqual(got, want)

    def test_the_same_object_twice_is_not_circular(self):
        shared = {"id": 1}
        self.assertEqual(through([shared, shared]), [{"id": 1}, {"id": 1}])

    def test_a_broken_mapping_does_not_take_the_rest_along(self):
        self.assertEqual(through({"bad": BrokenMapping(), "good": 1}), {"bad": "{}", "good": 1})

    def test_very_deep_payloads_are_cut(self):
        deep = None
        for _ in range(100_000):
            deep = [deep]
        got, depth = through(deep), 0
        while isinstance(got, list):
            got, depth = got[0], depth + 1
        self.assertEqual((got, depth), ("<too deep>", MAX_DEPTH))

    def test_endless_payloads_are_cut(self):
        def endless():
            while True:
                yield 1

        got = through({"v": endless(), "w": 1})
        self.assertLessEqual(len(got["v"]), MAX_VALUES)
        self.assertEqual((got["v"][-1], got["w"]), ("<too many>", "<too many>"))

    def test_sets_come_in_the_same_order_in_every_process(self):
        names = {f"tag-{n}" for n in range(100)}
        self.assertEqual(through(names), sorted(names))
