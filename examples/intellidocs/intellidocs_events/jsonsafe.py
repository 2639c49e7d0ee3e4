"""Turns any payload into what JSON can hold, without ever raising.

What JSON has stays as it is. The rest:

    datetime, date, time        isoformat(), as IntelliDocs writes them
    timedelta                   ISO 8601 duration
    Decimal                     string (exact)
    NaN, Infinity               null
    Enum                        its value
    model instance              {"id": primary key, "name": str(instance)}
    set                         list, in the order of its JSON
    generator, QuerySet, view   list
    NumPy's, PyTorch's …        what its tolist() returns: number, boolean or list
    dataclass                   object
    bytes                       string: UTF-8, else base64
    lazy string, UUID, Path, …  str(value)
    key that is no string       the string JSON would make of it, else str(key);
                                where two become one, the later gets " (2)"
    lone surrogate              U+FFFD
    integer over 3000 digits    hexadecimal string
    container inside itself     "<circular>"

Work is bounded: containers nested deeper than MAX_DEPTH become "<too deep>", and
after MAX_VALUES values each further one becomes "<too many>".
"""

import base64
import dataclasses
import datetime
import decimal
import enum
import itertools
import json
import math
from collections.abc import Iterable, Mapping

from django.db.models import Model
from django.utils.duration import duration_iso_string
from django.utils.functional import Promise

MAX_DEPTH = 64
MAX_VALUES = 200_000
# Python 3.11 and later refuse to print integers beyond 4300 digits.
MAX_INT_BITS = 10_000


def jsonable(payload):
    """The payload in dicts with string keys, lists, strings, numbers, booleans and None."""
    return _Walk().value(payload)


class _Walk:
    def __init__(self):
        self.left = MAX_VALUES
        self.open = set()

    def value(self, value):
        self.left -= 1
        if self.left < 0:
            return "<too many>"
        try:
            return self._value(value)
        except Exception:
            return _text(value)

    def _value(self, value):
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, enum.Enum):
            return self.value(value.value)
        if isinstance(value, str):
            return _clean(str(value))
        if isinstance(value, int):
            return int(value) if value.bit_length() <= MAX_INT_BITS else hex(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, decimal.Decimal):
            return str(value) if value.is_finite() else None
        if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, datetime.timedelta):
            return duration_iso_string(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return _bytes(bytes(value))
        return self._container(value)

    def _container(self, value):
        if id(value) in self.open:
            return "<circular>"
        if len(self.open) >= MAX_DEPTH:
            return "<too deep>"
        self.open.add(id(value))
        try:
            if isinstance(value, Model):
                return {"id": self.value(value.pk), "name": _text(value)}
            if dataclasses.is_dataclass(value) and not isinstance(value, type):
                return self._mapping((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
            if isinstance(value, Mapping):
                return self._mapping(value.items())
            if isinstance(value, (set, frozenset)):
                return sorted(self._list(value), key=json.dumps)
            if callable(getattr(type(value), "tolist", None)):
                return self.value(value.tolist())
            if isinstance(value, Iterable) and not _is_text_like(value):
                return self._list(value)
            return _text(value)
        finally:
            self.open.discard(id(value))

    def _list(self, values):
        items = []
        for value in itertools.islice(values, max(self.left, 0) + 1):
            items.append(self.value(value))
        return items

    def _mapping(self, pairs):
        result = {}
        for key, value in itertools.islice(pairs, max(self.left, 0) + 1):
            name = unique = _key(key)
            for n in itertools.count(2):
                if unique not in result:
                    break
                unique = f"{name} ({n})"
            result[unique] = self.value(value)
        return result


def _is_text_like(value):
    """Lazy strings and open files offer iteration too, and mean something else."""
    return isinstance(value, Promise) or hasattr(value, "read")


def _key(key):
    if isinstance(key, enum.Enum):
        key = key.value
    if isinstance(key, str):
        return _clean(str(key))
    if key is None or isinstance(key, (bool, float)):
        return json.dumps(key)
    if isinstance(key, (datetime.datetime, datetime.date, datetime.time)):
        return key.isoformat()
    if isinstance(key, (bytes, bytearray)):
        return _bytes(bytes(key))
    return _text(key)


def _text(value):
    try:
        return _clean(str(value))
    except Exception:
        return f"<{type(value).__name__}>"


def _clean(text):
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _bytes(data):
    try:
        return data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode()
