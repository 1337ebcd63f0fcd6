import numpy as np
import pytest
from tests.styles import ANA as ANA_NUNEZ
from tests.styles import BEN as BEN_OKAFOR
from tests.styles import write_as

from llmtwin.evaluation.stylometry import Counts, Stylometer, samples
from llmtwin.evaluation.words import words


def text(*pairs: tuple[str, int]) -> list[str]:
    return [word for word, count in pairs for _ in range(count)]


# Two samples of ten words of each author: "the" is 4 and 2 of 10 for the one, 1 and 1 for the other; "and" the reverse.
ANA = [*text(("the", 4), ("and", 1), ("x", 5)), *text(("the", 2), ("and", 1), ("x", 7))]
BEN = [*text(("the", 1), ("and", 3), ("x", 6)), *text(("the", 1), ("and", 3), ("x", 6))]


@pytest.fixture
def meter() -> Stylometer:
    return Stylometer(ANA, {"Ben": BEN}, sample_words=10)


def test_delta_is_what_it_is_by_hand(meter: Stylometer) -> None:
    the, and_ = np.array([0.4, 0.2, 0.1, 0.1]), np.array([0.1, 0.1, 0.3, 0.3])
    assert meter.features == ("the", "and") or meter.features == ("and", "the")
    asked = Counts.of(text(("the", 1), ("and", 1), ("y", 2)))  # 0.25 and 0.25
    by_hand = {
        "the": (0.25 - the.mean()) / the.std(ddof=1),
        "and": (0.25 - and_.mean()) / and_.std(ddof=1),
    }
    assert meter.z_scores(asked) == pytest.approx([by_hand[word] for word in meter.features])
    # The author's profile has 0.3 and 0.1, and the means cancel out.
    apart = (abs(0.25 - 0.3) / the.std(ddof=1) + abs(0.25 - 0.1) / and_.std(ddof=1)) / 2
    assert meter.delta(asked) == pytest.approx(apart)
    profile = [(0.3 - the.mean()) / the.std(ddof=1), (0.1 - and_.mean()) / and_.std(ddof=1)]
    said = [by_hand["the"], by_hand["and"]]
    cosine = np.dot(profile, said) / np.linalg.norm(profile) / np.linalg.norm(said)
    assert meter.cosine_delta(asked) == pytest.approx(1 - cosine)


def test_the_author_is_at_no_distance_from_himself_and_the_other_opposite(meter: Stylometer) -> None:
    assert meter.delta(Counts.of(ANA)) == pytest.approx(0)
    assert meter.cosine_delta(Counts.of(ANA)) == pytest.approx(0)
    assert meter.cosine_delta(Counts.of(BEN)) == pytest.approx(2)


def test_texts_add_up(meter: Stylometer) -> None:
    halves = Counts.of(ANA[:7]) + Counts.of(ANA[7:])
    assert meter.delta(halves) == pytest.approx(0)
    assert halves.total == len(ANA)


def test_an_empty_text_is_no_error(meter: Stylometer) -> None:
    assert meter.delta(Counts.of([])) > 0


def test_a_language_without_our_function_words_is_measured_by_words_that_all_use() -> None:
    ana = words("Der Hund und die Katze und der. Die Maus und die die und der.")
    ben = words("Eine Maus die der und sagte sagte. Die und der eine eine sagte sagte.")
    meter = Stylometer(ana, {"Ben": ben}, sample_words=7)
    assert meter.kind == "frequent"
    assert {"und", "die", "der", "maus"} >= set(meter.features)


def test_too_little_text_is_an_error_that_says_whose() -> None:
    with pytest.raises(ValueError, match="fewer than 20 words of prose by Ben"):
        Stylometer(ANA, {"Ben": BEN[:15]}, sample_words=10)
    with pytest.raises(ValueError, match="fewer than 2000 words of prose by the author"):
        Stylometer(ANA * 99, {})


# Ten samples of ten words: "the" is 4, then 2 of 10 in turn, "and" 1 and 3; "of" is too rare, "to" always the same.
ALONE = [
    *text(("the", 4), ("and", 1), ("to", 1), ("x", 4)),
    *text(("the", 2), ("and", 3), ("to", 1), ("of", 1), ("x", 3)),
] * 5


def test_an_author_alone_is_measured_by_his_own_variation() -> None:
    meter = Stylometer(ALONE, {}, sample_words=10)
    assert meter.variant == "burrows"
    assert meter.features == ("the", "and")
    deviation = np.array([4, 2] * 5).std(ddof=1) / 10  # the same of both words
    asked = Counts.of(text(("the", 1), ("and", 1), ("of", 3), ("y", 5)))
    assert meter.z_scores(asked) == pytest.approx([(0.1 - 0.3) / deviation, (0.1 - 0.2) / deviation])
    assert meter.distance(asked) == pytest.approx(0.15 / deviation)
    assert meter.distance(Counts.of(ALONE)) == pytest.approx(0)
    # As far from the mean in every word as the author's own samples are.
    assert meter.distance(Counts.of(ALONE[:10])) == pytest.approx(0.1 / deviation)
    with pytest.raises(ValueError, match="wants other authors"):
        meter.cosine_delta(asked)


def test_with_others_the_distance_is_cosine_delta(meter: Stylometer) -> None:
    assert meter.variant == "cosine"
    assert meter.distance(Counts.of(BEN)) == meter.cosine_delta(Counts.of(BEN))


@pytest.mark.parametrize(("author", "stranger"), [(ANA_NUNEZ, BEN_OKAFOR), (BEN_OKAFOR, ANA_NUNEZ)])
@pytest.mark.parametrize("count", [300, 1_000])
def test_the_authors_own_kind_of_text_is_closer_than_another_style(author: str, stranger: str, count: int) -> None:
    meter = Stylometer(words(write_as(author, 2_500, 0)), {})
    own, other = (meter.distance(Counts.of(words(write_as(who, count, 1)))) for who in (author, stranger))
    assert own < 1 < other


def test_text_without_a_word_that_varies_is_an_error() -> None:
    with pytest.raises(ValueError, match="no word is frequent"):
        Stylometer(text(("the", 2_000)), {})


def test_samples_are_whole() -> None:
    assert samples(list("abcde"), 2) == [["a", "b"], ["c", "d"]]
