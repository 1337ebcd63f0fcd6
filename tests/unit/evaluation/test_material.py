from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.styles import save_dataset

from llmtwin.datasets.compose import cite
from llmtwin.datasets.dataset import MANIFEST, Dataset
from llmtwin.datasets.rows import answer, schema
from llmtwin.evaluation.material import Prompt, spread, title_of, training_texts
from llmtwin.files import write_json
from llmtwin.prompt import with_passages
from llmtwin.settings import Settings


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=30), st.integers(0, 5))
def test_every_beginning_is_spread_evenly_over_the_groups(items: list[tuple[str, int]], seed: int) -> None:
    found = spread(items, lambda item: item[0], seed)
    assert Counter(found) == Counter(items)
    sizes = Counter(group for group, _ in items)
    for length in range(len(found) + 1):
        taken = Counter(group for group, _ in found[:length])
        for one in sizes:
            for other in sizes:
                # Nobody is ahead by more than one, unless the other has no more.
                assert taken[one] - taken[other] <= 1 or taken[other] == sizes[other]


def test_the_same_seed_gives_the_same_order() -> None:
    items = [(group, number) for group in "abcdef" for number in range(5)]
    assert spread(items, lambda item: item[0], 1) == spread(items[::-1][::-1], lambda item: item[0], 1)
    assert spread(items, lambda item: item[0], 1) != spread(items, lambda item: item[0], 2)


@pytest.mark.parametrize(
    ("link", "title"),
    [
        ("https://a.example/p/an-article_on%20mice?r=1#x", "an article on mice"),
        ("https://a.example/", ""),
        (None, ""),
    ],
)
def test_a_title_is_what_the_link_ends_with(link: str | None, title: str) -> None:
    assert title_of(link) == title


def test_what_was_asked_is_without_the_passages() -> None:
    fenced = "<passages-0123456789ab>\n[1] A\nb\n</passages-0123456789ab>"
    message = {"role": "user", "content": with_passages("What is b?", fenced)}
    assert Prompt((message,), "", "id", None, "[1] A\nb").asked == "What is b?"
    assert Prompt(({"role": "user", "content": "Why?"},), "", "id", None, None).asked == "Why?"


@pytest.mark.parametrize(("format_", "missing"), [(1, 0), (2, 1)])
def test_before_format_2_some_texts_stood_behind_passages_alone(format_: int, missing: int, tmp_path: Path) -> None:
    dataset = save_dataset(Settings(data_dir=tmp_path), "Ana Núñez")
    texts = [sample.text for sample in training_texts(dataset)]
    one, *others = dataset.rows("train")
    text = cite(one["completion"][0]["content"], [1, 3])
    rows = [one | {"type": "rag", "completion": answer(text)}, *others]
    pq.write_table(pa.Table.from_pylist(rows, schema("sft")), dataset.path("train"))
    write_json(dataset.folder / MANIFEST, dataset.manifest | {"format": format_})
    assert [sample.text for sample in training_texts(Dataset(dataset.folder))] == texts[missing:]
