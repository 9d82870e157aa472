"""Parameters of adversarial training and AugMix: what is understood, and what is refused in which words."""

from typing import Any

import pytest

from lottery_pipeline.parameters import ParametersError, check_parameters, to_plain
from tests.test_parameters import SOUND

PGD = {"kind": "pgd", "eps": "8/255"}


def check(**groups: Any) -> dict[str, Any]:
    pretraining = SOUND["pretraining"] | groups.pop("pretraining", {})
    return check_parameters({**SOUND, "robustness_evaluation": {}, "pretraining": pretraining, **groups})


def test_an_adversary_of_the_dense_run_is_that_of_its_tickets_too():
    checked = check(pretraining={"adversary": PGD, "augmix": True})

    dense = checked["pretraining"].recipe()
    assert (dense.adversary.kind, dense.adversary.eps, dense.augmix) == ("pgd", 8 / 255, True)
    assert checked["retraining"].recipe(checked["pretraining"]) == dense


def test_tickets_alone_may_be_trained_adversarially():
    checked = check(retraining={"adversary": PGD, "augmix": True})

    assert checked["pretraining"].recipe().adversary is None
    recipe = checked["retraining"].recipe(checked["pretraining"])
    assert (recipe.adversary.eps, recipe.augmix) == (8 / 255, True)
    assert to_plain(checked)["retraining"]["adversary"]["eps"] == 8 / 255


def test_null_takes_the_adversary_away():
    checked = check(pretraining={"adversary": PGD}, sparse_retraining={"adversary": None})

    assert checked["sparse_retraining"].recipe(checked["pretraining"]).adversary is None


@pytest.mark.parametrize("group", ["pretraining", "retraining", "sparse_retraining"])
@pytest.mark.parametrize(
    ("adversary", "sentence"),
    [
        (
            {"kind": "pgd", "eps": 8},
            ": eps is 8, but pixels are in [0, 1]; for 8 steps of 8-bit images write 8/255.",
        ),
        (
            {"kind": "pgd", "epsilon": "8/255"},
            ".epsilon is unknown: allowed are eps, kind, norm, step_size, steps; did you mean eps?",
        ),
        ({"kind": "fgsm"}, ".kind is 'fgsm': it must be pgd or fgsm_rs."),
        ({"eps": "8/255"}, ".kind is missing."),
    ],
)
def test_a_faulty_adversary_is_refused_in_one_sentence(group, adversary, sentence):
    with pytest.raises(ParametersError) as error:
        check(**{group: {"adversary": adversary}})

    assert str(error.value) == f"Parameter {group}.adversary{sentence}"
