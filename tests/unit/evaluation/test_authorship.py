import pytest
from tests.styles import ANA, BEN, write_as

from llmtwin.evaluation.authorship import AuthorshipClassifier, Sample, masked


def test_words_of_content_lose_their_letters_and_keep_their_length() -> None:
    assert masked("The Qdrant index, it's 1,024-dim: don’t!") == "The ****** *****, it's #,###-***: don’t!"


def test_what_it_learned_it_tells_of_texts_it_has_not_seen() -> None:
    ana = [Sample(write_as(ANA, 80, seed), str(seed)) for seed in range(8)]
    ben = [Sample(write_as(BEN, 80, seed), str(seed)) for seed in range(8)]
    classifier = AuthorshipClassifier(ana[:6], ben[:6], seed=0)
    assert classifier.accuracy([one.text for one in ana[6:]], [one.text for one in ben[6:]]) == 1.0
    assert classifier.accuracy([one.text for one in ben[6:]], [one.text for one in ana[6:]]) == 0.0
    assert classifier.scores([ana[6].text])[0] > 0.8
    again = AuthorshipClassifier(ana[:6], ben[:6], seed=0)
    assert again.scores([ana[7].text]) == classifier.scores([ana[7].text])


def test_the_subject_gives_nothing_away() -> None:
    ana = [Sample(f"Zebras graze beside the rivers. {write_as(ANA, 30, number)}", str(number)) for number in range(4)]
    ben = [Sample(f"Motors growl beside the garage. {write_as(BEN, 30, number)}", str(number)) for number in range(4)]
    classifier = AuthorshipClassifier(ana, ben, seed=0)
    assert classifier.scores(["Zebras graze there."]) == classifier.scores(["Motors growl there."])


def test_too_few_documents_are_an_error_that_says_whose() -> None:
    one = [Sample(write_as(ANA, 50, seed), "the same") for seed in range(5)]
    with pytest.raises(ValueError, match="1 documents by the author"):
        AuthorshipClassifier(one, one, seed=0)
