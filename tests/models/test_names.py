import subprocess
import sys

import pytest

from lottery_pipeline.models.names import BUILT_IN_MODELS, ModelError, check_model_name, is_factory

CONTRACT = {
    *("lenet_300_100", "conv2", "conv4", "conv6", "resnet18", "resnet50", "vgg16", "vgg19"),
    *("resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
}


def test_every_model_of_the_contract_is_built_in():
    assert set(BUILT_IN_MODELS) == CONTRACT


@pytest.mark.parametrize(
    "name", [*BUILT_IN_MODELS, "supernet", "torchvision:vit_b_16", "my_package.nets:tiny", "nets:Net"]
)
def test_names_of_every_form_are_accepted(name):
    assert check_model_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "resnet21",
        "ResNet20",
        "torchvision:",
        "torchvision:os.system",
        "torchvision:../x",
        "a.b",
        "a:b:c",
        "a:",
        ":b",
        "..a:b",
        "a b:c",
        "a:b()",
        "a:b\n",
        "resnet20\n",
        "supernet:digits8",
        "supernet:found.json",
    ],
)
def test_other_names_are_refused_with_what_is_allowed(name):
    with pytest.raises(
        ModelError, match=r"allowed are lenet_300_100, .*torchvision:<name> and package.module:factory"
    ):
        check_model_name(name)


def test_close_matches_are_suggested():
    with pytest.raises(ModelError, match=r"unknown model 'resnet21' \(did you mean .*'resnet20'"):
        check_model_name("resnet21")


def test_a_long_name_is_refused_without_repeating_it():
    with pytest.raises(ModelError) as caught:
        check_model_name("a" * 100_000)
    assert len(str(caught.value)) < 100


def test_only_import_paths_are_factories():
    assert is_factory("nets:tiny")
    assert not is_factory("torchvision:resnet18")
    assert not is_factory("supernet:digits8")
    assert not is_factory("resnet20")


def test_names_and_specifications_are_known_without_torch():
    code = "import sys; from lottery_pipeline.models import names, spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
