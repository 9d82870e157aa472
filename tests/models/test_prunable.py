import pytest
import torch
from torch import nn

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.prunable import check_ignore_layers, prunable_parameters
from lottery_pipeline.models.registry import build_model


@pytest.fixture
def resnet(make_spec):
    return build_model(make_spec("resnet20"), seed=0, device="meta")


def test_weights_of_convolutions_and_linear_layers_are_prunable_and_nothing_else():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 2, 3), nn.LayerNorm(4), nn.Linear(4, 2)
    )
    assert list(prunable_parameters(model)) == ["0.weight", "2.weight", "4.weight"]
    assert prunable_parameters(model)["0.weight"] is model[0].weight


def test_shortcuts_and_the_last_layer_are_prunable_in_module_order(resnet):
    names = list(prunable_parameters(resnet))
    assert len(names) == 22
    assert names[0] == "network.conv1.weight"
    assert names[-1] == "network.fc.weight"
    assert "network.layer2.0.downsample.0.weight" in names


@pytest.mark.parametrize(
    ("patterns", "ignored"),
    [
        (["fc"], 640),
        (["network.fc"], 640),
        (["fc.weight"], 640),
        (["*downsample*"], 2_560),
        (["layer1.*"], 6 * 2_304),
        (["fc", "network.fc", "conv1"], 640 + 432),
    ],
)
def test_ignored_layers_are_left_out_of_d(patterns, ignored, resnet):
    weights = prunable_parameters(resnet, patterns)
    assert sum(weight.numel() for weight in weights.values()) == 270_896 - ignored


def test_a_pattern_that_matches_nothing_is_an_error(resnet):
    with pytest.raises(
        ModelError, match=r"'classifier' matches no layer; layers are conv1, layer1.0.conv1, .*fc"
    ):
        check_ignore_layers(resnet, ["fc", "classifier"])


def test_nothing_left_to_prune_is_an_error(resnet):
    with pytest.raises(ModelError, match="nothing is left to prune"):
        prunable_parameters(resnet, ["*"])
    with pytest.raises(ModelError, match="nothing is left to prune"):
        prunable_parameters(nn.BatchNorm1d(3))


def test_a_shared_weight_counts_once():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    assert list(prunable_parameters(model)) == ["0.weight"]


def test_changes_go_to_the_model_itself():
    model = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        prunable_parameters(model)["0.weight"].zero_()
    assert not model[0].weight.any()


def test_a_pattern_may_name_a_layer_that_does_not_count_anyway():
    norm = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    model = nn.Sequential(norm, nn.Linear(2, 2), nn.LSTM(2, 2))
    assert list(prunable_parameters(model, ["0", "2"])) == ["1.weight"]
    check_ignore_layers(model, ["0", "2"])
    with pytest.raises(ModelError, match="'3' matches no layer"):
        check_ignore_layers(model, ["3"])


def test_a_pattern_for_a_layer_that_the_network_has_lost_matches_nothing_more(make_spec):
    spec = make_spec(ignore_layers=("layer1.1.conv1",), removed_blocks=("network.layer1.1",))
    weights = prunable_parameters(build_model(spec, seed=0, device="meta"), spec.ignore_layers)
    assert sum(weight.numel() for weight in weights.values()) == 270_896 - 2 * 2_304
