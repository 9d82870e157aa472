"""The adversary of a training: what is filled in, and what is refused."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from lottery_pipeline.options.adversary import Adversary


def test_pgd_makes_seven_steps_of_a_quarter_of_eps():
    adversary = Adversary(kind="pgd")

    assert adversary.eps == 8 / 255
    assert adversary.count_steps() == 7
    assert adversary.find_step_size() == 2 / 255


def test_fgsm_rs_makes_one_step_that_is_longer_than_eps():
    adversary = Adversary(kind="fgsm_rs", eps="4/255")

    assert adversary.count_steps() == 1
    assert adversary.find_step_size() == pytest.approx(5 / 255, rel=1e-12)


def test_given_steps_are_kept():
    adversary = Adversary(kind="pgd", eps="8/255", steps=3, step_size="4/255")

    assert (adversary.count_steps(), adversary.find_step_size()) == (3, 4 / 255)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "Field required"),
        ({"kind": "fgsm"}, "'pgd' or 'fgsm_rs'"),
        (
            {"kind": "pgd", "eps": 8},
            "eps is 8, but pixels are in [0, 1]; for 8 steps of 8-bit images write 8/255",
        ),
        ({"kind": "pgd", "step_size": 2}, "step_size is 2, but pixels are in [0, 1]"),
        ({"kind": "pgd", "eps": 0}, "greater than 0"),
        ({"kind": "pgd", "eps": "8/0"}, "divides by 0"),
        ({"kind": "pgd", "eps": float("nan")}, "finite number"),
        ({"kind": "pgd", "norm": "L2", "eps": float("inf")}, "finite number"),
        ({"kind": "pgd", "steps": 0}, "greater than or equal to 1"),
        ({"kind": "fgsm_rs", "steps": 2}, "fgsm_rs makes a single step, not 2"),
        ({"kind": "fgsm_rs", "norm": "L2"}, "fgsm_rs knows the norm Linf only"),
        ({"kind": "pgd", "epsilon": 0.1}, "Extra inputs are not permitted"),
    ],
)
def test_a_bad_adversary_is_refused_in_clear_words(given, words):
    with pytest.raises(ValidationError) as error:
        Adversary(**given)

    assert words in str(error.value)


def test_distances_of_l2_may_exceed_one():
    assert Adversary(kind="pgd", norm="L2", eps=1.5).find_step_size() == 0.375


def test_importing_the_options_imports_no_torch():
    code = "import sys, lottery_pipeline.options.adversary; sys.exit('torch' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
