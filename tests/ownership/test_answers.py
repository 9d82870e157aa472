"""The answers of a suspect that nobody here can run: a file of somebody else."""

from pathlib import Path

import pytest

from lottery_pipeline.ownership.answers import read_table
from lottery_pipeline.ownership.errors import OwnershipError


def write(folder: Path, content: bytes) -> Path:
    path = folder / "answers.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "table"),
    [
        (b"prediction\n3\n0\n", {"prediction": [3, 0]}),
        (b"\xef\xbb\xbfimage,prediction,base_prediction\r\na,3,1\r\nb, 7,2\r\n\r\n",
         {"prediction": [3, 7], "base_prediction": [1, 2]}),
        (b"class\n3\n", {}),
        (b"", {}),
        (b"\xef\xbb\xbf", {}),
        ("note,prediction\na\u2028b,3\n\"c\nd\",0\n".encode(), {"prediction": [3, 0]}),
        (b"," * 900_000 + b"prediction\n", {"prediction": []}),
    ],
)  # fmt: skip
def test_the_columns_of_the_predictions_are_read(
    tmp_path: Path, content: bytes, table: dict[str, list[int]]
) -> None:
    assert read_table(write(tmp_path, content)) == table


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"prediction\n" + b"1\n" * 500_000, "has more than the 1000000 bytes allowed"),
        (b"prediction\n\xff\n", "is not a table of comma-separated values in UTF-8"),
        (b"prediction\n" + b"1" * 200_000, "is not a table of comma-separated values in UTF-8"),
        (b"prediction\n-1\n", "column prediction has '-1', which is not a class from 0"),
        (b"prediction\n1.0\n", "column prediction has '1.0'"),
        (b"prediction\n" + b"1" * 5000 + b"\n", "column prediction has '1111111111111111"),
        (b"image,prediction\na\n", "column prediction has ''"),
    ],
)
def test_other_contents_are_refused_in_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(OwnershipError) as refusal:
        read_table(path)
    assert words in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert len(str(refusal.value)) < 300
