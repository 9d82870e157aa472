import pytest

from lottery_pipeline.models.idle import find_idle_layers, leave_out_idle_layers
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from tests.tiny import tiny_spec


def spec_of(name, **changes):
    return tiny_spec(f"tests.user_networks:{name}", **changes)


def find(spec):
    return find_idle_layers(spec, allow_factory=spec.name)


def leave_out(spec):
    return leave_out_idle_layers(spec, allow_factory=spec.name)


def test_layers_on_which_no_logit_depends_are_idle_and_those_of_training_are_not():
    idle = ("network.idle", "network.decoder.0", "network.decoder.1.0")
    assert find(spec_of("heads")) == idle


@pytest.mark.parametrize(
    "name", ["cut_off", "parametrised", "flatten_by_strides", "batch_statistics", "mixture"]
)
def test_layers_that_matter_are_not_idle_even_without_a_gradient(name):
    spec = spec_of(name)
    assert find(spec) == ()
    assert leave_out(spec) is spec


def test_networks_of_ours_are_not_looked_at():
    spec = tiny_spec("conv2")
    assert leave_out_idle_layers(spec) is spec


def test_idle_layers_are_in_the_specification_so_d_is_the_same_wherever_it_is_read():
    spec = leave_out(spec_of("heads"))
    assert spec.ignore_layers == ("network.decoder.*", "network.idle")
    again = type(spec).model_validate_json(spec.model_dump_json())
    model = build_model(again, seed=0, allow_factory=spec.name)
    names = ["network.body.weight", "network.helper.weight", "network.fc.weight"]
    assert list(prunable_parameters(model, again.ignore_layers)) == names
    assert leave_out(again) == again


def test_what_the_user_ignores_stays_beside_it():
    spec = leave_out(spec_of("heads", ignore_layers=("helper", "decoder.0")))
    assert spec.ignore_layers == ("helper", "decoder.0", "network.decoder.*", "network.idle")
