import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lottery_pipeline.models.classifier import Classifier, Normalise
from lottery_pipeline.models.weights.choice import MisfitError, WeightsError
from lottery_pipeline.models.weights.fitting import Fit, fit_weights
from tests.models.weights.nets import classifier, draw, prefixed

TENSORS = 10


def fit(stored, model=None, *, classes: int = 3, channels: int = 3) -> Fit:
    model = model or classifier(classes=classes, channels=channels)
    return fit_weights(model, stored, name="net", num_classes=classes, channels=channels)


def refusal(stored, **sizes: int) -> str:
    with pytest.raises(WeightsError) as caught:
        fit(stored, **sizes)
    return str(caught.value)


def test_every_tensor_is_taken_the_statistics_of_batch_norm_too() -> None:
    state = draw().state_dict()
    found = fit(state)
    assert set(found.taken) == set(prefixed(state, "network."))
    assert torch.equal(found.taken["network.norm.running_var"], state["norm.running_var"])
    assert torch.equal(found.taken["network.conv.weight"], state["conv.weight"])
    assert (found.fresh, found.classes, found.adapted, found.converted, found.unused) == (
        (),
        None,
        (),
        (),
        (),
    )


def test_what_is_taken_is_a_copy() -> None:
    state = draw().state_dict()
    found = fit(state)
    state["conv.weight"].zero_()
    assert found.taken["network.conv.weight"].abs().sum() > 0


@given(st.lists(st.sampled_from(["module", "_orig_mod", "model", "network", "net"]), max_size=4))
@settings(max_examples=30)
def test_prefixes_of_wrappers_do_not_matter(parts: list[str]) -> None:
    found = fit(prefixed(draw().state_dict(), "".join(f"{part}." for part in parts)))
    assert len(found.taken) == TENSORS


def test_a_layer_that_was_wrapped_alone_is_found() -> None:
    net = draw()
    net.hidden = nn.DataParallel(net.hidden)
    assert "hidden.module.weight" in net.state_dict()
    assert len(fit(net.state_dict()).taken) == TENSORS


def test_a_network_of_the_users_with_a_module_called_module_is_not_confused() -> None:
    net = nn.Sequential()
    net.add_module("module", nn.Linear(4, 5))
    net.add_module("fc", nn.Linear(5, 3))
    model = Classifier(Normalise((0.5,), (0.5,)), net)
    for state in (net.state_dict(), nn.DataParallel(net).state_dict()):
        assert len(fit(state, model, channels=1).taken) == 4


def test_a_last_layer_for_other_classes_keeps_its_own_weights() -> None:
    found = fit(draw(classes=7).state_dict())
    assert (found.fresh, found.classes) == (("fc.weight", "fc.bias"), 7)
    assert "network.fc.weight" not in found.taken
    assert len(found.taken) == TENSORS - 2


def test_a_file_without_a_last_layer_is_taken() -> None:
    state = {name: tensor for name, tensor in draw().state_dict().items() if not name.startswith("fc")}
    found = fit(state)
    assert (found.fresh, found.classes) == (("fc.weight", "fc.bias"), None)


def test_grey_images_give_what_they_gave_with_three_channels_and_the_other_way_round() -> None:
    grey = torch.rand(2, 1, 6, 6)
    colour, plain = draw(seed=1), draw(seed=2, channels=1)
    for state, channels, before, now in (
        (colour, 1, grey.expand(2, 3, 6, 6), grey),
        (plain, 3, grey, grey.expand(2, 3, 6, 6)),
    ):
        model = classifier(channels=channels)
        found = fit(state.state_dict(), model, channels=channels)
        assert found.adapted == ("conv.weight",)
        model.load_state_dict(found.taken)
        torch.testing.assert_close(model.network.eval()(now), state.eval()(before))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32_and_are_named(dtype: torch.dtype) -> None:
    state = draw().to(dtype).state_dict()
    found = fit(state)
    assert found.taken["network.conv.weight"].dtype == torch.float32
    assert torch.equal(found.taken["network.conv.weight"], state["conv.weight"].float())
    assert found.taken["network.norm.num_batches_tracked"].dtype == torch.int64
    assert found.converted == (str(dtype).removeprefix("torch."),)


def test_files_of_old_versions_lack_the_counter_of_batch_norm_and_are_taken() -> None:
    state = draw().state_dict()
    del state["norm.num_batches_tracked"]
    assert len(fit(state).taken) == TENSORS - 1


def test_tied_weights_are_taken_once_under_any_of_their_names() -> None:
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False), nn.Linear(4, 3))
    net[2].weight = net[0].weight
    model = Classifier(Normalise((0.5,), (0.5,)), net)
    state = net.state_dict()
    assert "2.weight" in state
    for names in (("0.weight",), ("2.weight",), ("0.weight", "2.weight")):
        given_names = {name: t for name, t in state.items() if name in (*names, "3.weight", "3.bias")}
        found = fit(given_names, model, channels=1)
        assert set(found.taken) == {"network.0.weight", "network.3.weight", "network.3.bias"}
        assert found.unused == ()


def test_what_has_no_place_is_named() -> None:
    assert fit(draw().state_dict() | {"aux.weight": torch.zeros(2)}).unused == ("aux.weight",)


def test_a_tensor_that_is_missing_is_refused() -> None:
    state = draw().state_dict()
    del state["norm.running_mean"]
    assert refusal(state) == "it lacks 1 of the 10 tensors of net: norm.running_mean"


def test_another_shape_is_refused_with_both_shapes() -> None:
    state = draw().state_dict() | {"hidden.weight": torch.zeros(5, 7)}
    words = "its hidden.weight has the shape [5, 7], but net has [5, 4] there for these images"
    assert refusal(state) == words


def test_weights_of_another_network_are_refused() -> None:
    state = draw(width=6).state_dict()
    assert refusal(state) == (
        "it has the weights of another network: of the 10 tensors of net, only 4 are in it with the same "
        "name and shape"
    )
    with pytest.raises(MisfitError):
        fit(state)


def test_a_larger_network_that_begins_like_this_one_is_refused() -> None:
    more = {f"layer{number}.weight": torch.zeros(2) for number in range(5)}
    words = refusal(draw().state_dict() | more)
    assert words.startswith("5 of its 15 tensors have no place in net (layer0.weight, layer1.weight")
    assert words.endswith("save the state dict of net alone")


def test_a_name_that_is_there_twice_is_refused() -> None:
    state = draw().state_dict()
    double = prefixed(state, "model.") | prefixed(state, "net.")
    assert "conv.weight more than once: model.conv.weight, net.conv.weight" in refusal(double)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    state = draw().state_dict()
    state["norm.running_var"][1] = value
    assert refusal(state) == "its norm.running_var holds values that are not finite"


def test_values_too_large_for_float32_are_refused() -> None:
    state = draw().double().state_dict()
    state["fc.bias"][0] = 1e300
    assert refusal(state) == "its fc.bias holds values that float32 cannot hold"


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(5, 4, dtype=torch.int8),
        torch.zeros(5, 4, dtype=torch.complex64),
        torch.zeros(5, 4).to_sparse(),
        torch.zeros(5, 4, device="meta"),
    ],
    ids=["int8", "complex", "sparse", "meta"],
)
def test_other_kinds_of_tensors_are_refused(tensor: torch.Tensor) -> None:
    assert "weights must be float16" in refusal(draw().state_dict() | {"hidden.weight": tensor})


def test_long_and_odd_names_are_shown_cut_and_plain() -> None:
    odd = {f"x\n\x1b[31m{number}" + "y" * 500: torch.zeros(1) for number in range(9)}
    words = refusal(draw().state_dict() | odd)
    assert "\n" not in words
    assert "\x1b" not in words
    assert len(words) < 800
    deep = {"net." * 100_000 + "x": torch.zeros(1)}
    assert fit(draw().state_dict() | deep).unused == tuple(deep)
