"""A random history of documents: created, some changed, some deleted."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.documents import article, post, source_file

from llmtwin.documents import RawDocument

if TYPE_CHECKING:
    from pymongo.database import Database

TEXT = "Größe naïve 東京 кот vector queue batch token, model. Ärger data stream the of and a writes, reads. 🙂"
WORDS = TEXT.split()


@dataclass(frozen=True)
class Change:
    """One write to the warehouse: a document as it is from now on, or its end."""

    document: RawDocument
    deletes: bool = False

    def apply(self, database: Database[dict[str, Any]]) -> None:
        """Write it."""
        collection = database[self.document.collection]
        if self.deletes:
            collection.delete_one({"_id": self.document.id})
        else:
            row = self.document.model_dump(by_alias=True) | {"kind": str(self.document.kind)}
            collection.replace_one({"_id": self.document.id}, row, upsert=True)


def random_history(chance: random.Random, created: int, updated: int, deleted: int) -> list[Change]:
    """Return changes in random order; each document's own come as create, update, delete.

    Every second update makes the text much shorter. The last change is the creation of a document that stays as it is.
    """
    last = created - 1
    changed = chance.sample(range(last), updated)
    gone = set(chance.sample(range(last), deleted))
    lives: dict[int, list[Change]] = {}
    for number in range(created):
        make = chance.choice(KINDS)
        size = chance.choice(SIZES[make])
        lives[number] = [Change(make(number, chance, size))]
        if number in changed:
            factor = 0.2 if changed.index(number) % 2 else chance.uniform(1, 2)
            lives[number].append(Change(make(number, chance, max(3, round(size * factor)))))
        if number in gone:
            lives[number].append(Change(lives[number][0].document, deletes=True))
    order = [number for number, life in lives.items() for _ in life if number != last]
    chance.shuffle(order)
    return [lives[number].pop(0) for number in [*order, last]]


def _post(number: int, chance: random.Random, size: int) -> RawDocument:
    return post(number, _text(chance, size))


def _article(number: int, chance: random.Random, size: int) -> RawDocument:
    return article(number, "\n\n".join([f"# Title {number}", *(_text(chance, 60) for _ in range(size // 60)), "End."]))


def _source_file(number: int, chance: random.Random, size: int) -> RawDocument:
    functions = [f"def f{i}_{number}(a, b):\n    return a * {chance.random()} + b\n" for i in range(max(1, size // 20))]
    return source_file(number, "\n\n".join(functions))


def _text(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


Make = Callable[[int, random.Random, int], RawDocument]
KINDS: list[Make] = [_post, _article, _source_file]
# In words. Few long ones: embedding is not what is tested.
SIZES: dict[Make, list[int]] = {_post: [5, 20, 60, 400], _article: [0, 60, 60, 240, 1500], _source_file: [20, 60, 400]}
