"""Documents that were sound once."""

import random
import re
from collections.abc import Callable, Sequence

_NUMBER = re.compile(rb"[0-9]{1,10}")
_NAME = re.compile(rb"/[A-Za-z]{2,14}")
_NUMBERS = (b"0", b"-1", b"1", b"65536", b"2147483647", b"4294967296", b"99999999999", b"1e9", b"0.00001")
_WORDS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def mutated(sources: Sequence[bytes], chance: random.Random) -> bytes:
    """Return one of the documents, spoilt in one to eight places."""
    data = bytearray(chance.choice(sources))
    for _ in range(chance.choice((1, 1, 2, 3, 5, 8))):
        if data:
            chance.choice(_MUTATIONS)(data, chance, sources)
    return bytes(data)


def _flip(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    for _ in range(chance.choice((1, 1, 4, 16))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _overwrite(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    width = chance.choice((1, 2, 4, 8))
    place = chance.randrange(len(data))
    word = chance.choice(_WORDS) & (2 ** (8 * width) - 1)
    data[place : place + width] = word.to_bytes(width, chance.choice(("little", "big")))


def _truncate(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    del data[chance.randrange(len(data)) :]


def _cut_out(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    place = chance.randrange(len(data))
    del data[place : place + chance.choice((1, 4, 32, 400))]


def _repeat(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    place = chance.randrange(len(data))
    piece = data[place : place + chance.choice((1, 8, 64, 500))]
    data[place:place] = piece * chance.choice((1, 2, 20))


def _cross(data: bytearray, chance: random.Random, sources: Sequence[bytes]) -> None:
    other = chance.choice(sources)
    begin = chance.randrange(len(other))
    place = chance.randrange(len(data))
    data[place : place + chance.choice((0, 50))] = other[begin : begin + chance.choice((16, 200, 2000))]


def _change_number(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    _replace_one(data, _NUMBER, lambda: chance.choice(_NUMBERS), chance)


def _change_name(data: bytearray, chance: random.Random, _: Sequence[bytes]) -> None:
    names = _NAME.findall(data)
    if names:
        _replace_one(data, _NAME, lambda: chance.choice(names), chance)


def _replace_one(
    data: bytearray, pattern: "re.Pattern[bytes]", value: Callable[[], bytes], chance: random.Random
) -> None:
    places = [match.span() for match in pattern.finditer(data)]
    if places:
        begin, end = chance.choice(places)
        data[begin:end] = value()


_MUTATIONS: tuple[Mutation, ...] = (
    _flip,
    _overwrite,
    _truncate,
    _cut_out,
    _repeat,
    _cross,
    _change_number,
    _change_number,
    _change_name,
)
