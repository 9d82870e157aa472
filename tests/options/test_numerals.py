"""Numbers in print."""

import math
import re
from pathlib import Path

import pytest

from lottery_pipeline.options.numerals import write_number

SOURCE = Path(__file__).parents[2] / "src" / "lottery_pipeline"
# These write names that files and tables are looked up by.
NAMES = (
    "models/behaviour.py",
    "robustness/threat.py",
    "ownership/attacks/trials.py",
    "ownership/attacks/claim_trials.py",
)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0, 3, "0"),
        (-0.0, 3, "0"),
        (13, 3, "13"),
        (1437.2, 3, "1,437"),
        (1500, 3, "1,500"),
        (999.96, 4, "1,000"),
        (-1437.26, 5, "-1,437.3"),
        (1_234_567.89, 4, "1,234,568"),
        (4.25, 3, "4.25"),
        (0.0123456, 3, "0.0123"),
        (-0.5, 6, "-0.5"),
        (1 / 3, 6, "0.333333"),
        (0.00001, 6, "0.00001"),
        (1.234e-7, 3, "1.23e-7"),
        (4e134, 3, "4e134"),
        (-2.5e20, 3, "-2.5e20"),
        (123_456_789_012_345, 3, "123,456,789,012,345"),
        (math.nan, 3, "NaN"),
        (math.inf, 3, "infinity"),
        (-math.inf, 3, "-infinity"),
    ],
)
def test_a_number_is_written_as_people_write_it(value: float, digits: int, text: str) -> None:
    assert write_number(value, digits) == text


def test_no_other_place_of_the_package_lets_python_choose_a_power_of_ten() -> None:
    pattern = re.compile(r"\{[^{}\"]+:\.?\d*[ge]\}|%\.?\d*[ge]\b(?! =)|~g")
    found = [
        f"{path.relative_to(SOURCE)}: {line.strip()}"
        for path in sorted(SOURCE.rglob("*.*"))
        if path.suffix in (".py", ".j2") and str(path.relative_to(SOURCE)) not in NAMES
        for line in path.read_text(encoding="utf-8").splitlines()
        # Numbers of figures are rounded in this way; they are numbers again at once.
        if pattern.search(line) and 'float(f"' not in line
    ]
    assert [line for line in found if not line.startswith("options/numerals.py")] == []
