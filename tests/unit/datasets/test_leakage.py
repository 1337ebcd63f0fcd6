"""The guard against leaks finds a copy however it is dressed up, and nothing else."""

from __future__ import annotations

from tests.authors import text

from llmtwin.datasets.leakage import LONGEST_RUN, NGRAM, Unseen
from llmtwin.datasets.tokens import Tokenizer


def words(tokenizer: Tokenizer, count: int) -> str:
    """Words of one token each."""
    found = [word for word in dict.fromkeys(text(1, 40).lower().replace(",", "").split()) if tokenizer.count(word) == 1]
    return " ".join((found * (count // len(found) + 1))[:count])


def test_the_longest_run_is_counted_in_tokens(tokenizer: Tokenizer) -> None:
    secret = words(tokenizer, 60)
    unseen = Unseen([f"Before. {secret} After."], tokenizer)
    for length in (60, LONGEST_RUN, LONGEST_RUN - 1, NGRAM):
        copied = f"other things {' '.join(secret.split()[:length])} and more of them"
        assert unseen.longest_run(copied) == length
        assert unseen.is_repeated_in(copied) is (length >= LONGEST_RUN)
    assert unseen.longest_run(" ".join(secret.split()[: NGRAM - 1])) == 0


def test_case_punctuation_and_layout_hide_nothing(tokenizer: Tokenizer) -> None:
    secret = text(1)
    disguised = secret.upper().replace(" ", "\n  ").replace(",", " -").replace(".", "…")
    unseen = Unseen([secret], tokenizer)
    assert unseen.longest_run(disguised) == unseen.longest_run(secret) > 300


def test_texts_of_the_same_author_share_no_run(tokenizer: Tokenizer) -> None:
    assert Unseen([text(1)], tokenizer).longest_run(text(2)) < LONGEST_RUN


def test_a_short_text_and_none_at_all(tokenizer: Tokenizer) -> None:
    assert Unseen([], tokenizer).longest_run(text(1)) == 0
    assert Unseen([text(1)], tokenizer).longest_run("") == 0
