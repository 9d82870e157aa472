"""The contract of every method that masks weights; the table of methods says which there are."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from lottery_pipeline.methods import METHODS as FUNCTIONS
from lottery_pipeline.options import MASK_OPTIONS, METHODS
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.search.extraction import Extraction
from lottery_pipeline.sparsity.masks import are_nested
from lottery_pipeline.sparsity.shuffling import count_moved, shuffle_masks
from lottery_pipeline.tickets import Ticket
from tests.kedro_project import ROOT
from tests.tiny import OWN_MODEL, draw_images, find, pretrain_tiny, same_bits

# What each method is told beside its density, so that it is quick.
OPTIONS: dict[str, dict[str, Any]] = {
    "lth": {"rate": 0.6},
    "ltr": {"rate": 0.6},
    "cts": {"length": 2},
    "snip": {"images_per_class": 3},
    "grasp": {"images_per_class": 3},
    "synflow": {"rounds": 5},
    "edge_popup": {"length": 2},
    "gem_miner": {"length": 4, "pruning_epochs": 2},
    "prospr": {"steps": 2, "batch_size": 10},
}
ITERATIVE = [name for name in MASK_OPTIONS if METHODS[name].has_ladder]
AT_THE_START = set(MASK_OPTIONS) - {"ltr", "cts"}  # which rewind to theta_k
WITHOUT_COST = {"magnitude", "random"}
PRUNABLE = 194
DENSITIES = [1.0, 0.5, 0.05, 1 / PRUNABLE + 1e-9]

# A method with a network of its own keeps other weights than those of the dense run: it has tests of its own.
every_method = pytest.mark.parametrize(
    "method", [name for name in MASK_OPTIONS if not METHODS[name].own_network]
)


@pytest.fixture(scope="module")
def images():
    return draw_images()


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images)


def extract(method, images, dense, density, *, seed=0, **others) -> Extraction:
    options = MASK_OPTIONS[method](density=density, **OPTIONS.get(method, {}))
    return find(method, images, dense, options, seed=seed, **others)


def test_every_row_of_the_table_has_a_function_and_every_function_a_row():
    assert list(FUNCTIONS) == list(METHODS) == [row.name for row in METHODS.values()]
    assert MASK_OPTIONS.keys() < METHODS.keys()
    assert not MASK_OPTIONS.keys() & {"layer", "filter"}  # they have no density
    assert all(function.__name__ == f"extract_{name}" for name, function in FUNCTIONS.items())


def test_every_method_has_a_module_parameters_a_test_and_a_row_in_the_docs():
    docs = (ROOT / "docs" / "methods.md").read_text()
    for name, row in METHODS.items():
        module = row.module or name
        places = [ROOT / "src/lottery_pipeline/methods", ROOT / "tests/methods"]
        assert (places[0] / f"{module}.py").is_file() or (places[0] / module / f"{module}.py").is_file()
        assert list(places[1].glob(f"**/test_{module}.py")), f"tests/methods/test_{module}.py is missing"
        assert (ROOT / "conf/base/parameters" / f"{name}.yml").is_file()
        assert f"\n| `{name}` |" in docs


@every_method
@pytest.mark.parametrize("density", DENSITIES)
def test_exactly_k_weights_are_kept(images, dense, method, density):
    ticket = extract(method, images, dense, density).ticket
    kept = sum(int(mask.sum()) for mask in ticket.masks.values())
    assert kept == ticket.kept == math.floor(density * PRUNABLE)
    assert ticket.density == kept / PRUNABLE
    assert ticket.method == method


@every_method
def test_exactly_k_weights_are_kept_where_all_scores_are_equal(images, dense, method):
    flat = {
        name: torch.full_like(tensor, 0.5) if name.endswith("weight") else tensor
        for name, tensor in dense.final.items()
    }
    equal = replace(dense, final=flat, rewind=flat, initial=flat)
    ticket = extract(method, images, equal, 0.5).ticket
    assert sum(int(mask.sum()) for mask in ticket.masks.values()) == PRUNABLE // 2


@every_method
def test_kept_weights_are_those_of_the_dense_run_and_the_others_are_0(images, dense, method):
    ticket = extract(method, images, dense, 0.5).ticket
    start = dense.initial if method in AT_THE_START else dense.rewind
    assert ticket.header.rewind_step == (0 if method in AT_THE_START else dense.rewind_step)
    for name, tensor in ticket.state.items():
        mask = ticket.masks.get(name)
        expected = start[name] if mask is None else torch.where(mask, start[name], 0.0)
        assert same_bits({name: tensor}, {name: expected})


@pytest.mark.parametrize("method", ITERATIVE)
def test_masks_of_an_iterative_method_are_nested(images, dense, method):
    ladder = extract(method, images, dense, 0.05).ladder
    assert ladder is not None
    assert ladder.last_rung >= 3
    for rung in range(ladder.last_rung):
        assert are_nested(ladder.masks(rung + 1), ladder.masks(rung))


@every_method
def test_the_same_seed_gives_the_same_ticket(images, dense, method):
    first, second = (extract(method, images, dense, 0.05, seed=3).ticket for _ in range(2))
    assert first.to_bytes() == second.to_bytes()


@every_method
def test_the_dense_run_the_images_and_the_random_state_stay_as_they_were(images, dense, method):
    def snapshot():
        states = (dense.initial, dense.rewind, dense.final)
        parts = (images.train, images.validation, images.test)
        return (
            [fingerprint_tensors(state) for state in states],
            [fingerprint_tensors({"images": part.images, "labels": part.labels}) for part in parts],
            torch.get_rng_state().tolist(),
            torch.is_grad_enabled(),
        )

    before = snapshot()
    extract(method, images, dense, 0.5)
    assert snapshot() == before


@every_method
def test_the_shuffled_mask_differs_and_keeps_the_count_of_every_layer(images, dense, method):
    ticket = extract(method, images, dense, 0.5).ticket
    shuffled = shuffle_masks(ticket.masks, seed=0)
    assert count_moved(ticket.masks, shuffled) > 0
    for name, mask in ticket.masks.items():
        assert int(mask.sum()) == int(shuffled[name].sum())


@every_method
def test_the_ticket_opens_from_its_file_and_its_cost_is_known(images, dense, method, tmp_path):
    result = extract(method, images, dense, 0.05)
    result.ticket.save(tmp_path / "ticket")
    assert Ticket.load(tmp_path / "ticket", OWN_MODEL).to_bytes() == result.ticket.to_bytes()
    assert result.ticket.header.parents["dense"] == dense.fingerprint
    assert result.ticket.header.parents["images"] == images.fingerprint
    assert (result.search_epochs > 0) == (method not in WITHOUT_COST)
    assert result.search_seconds > 0


@every_method
@pytest.mark.parametrize("density", [0.5, 0.05])
def test_the_scores_of_a_method_explain_its_mask(images, dense, method, density):
    found = extract(method, images, dense, density)
    if method in ITERATIVE:
        assert found.scores is None  # they rank anew in every round
        return
    kept = {name: found.scores[name][mask] for name, mask in found.ticket.masks.items()}
    dropped = {name: found.scores[name][~mask] for name, mask in found.ticket.masks.items()}
    by_layer = method in ("edge_popup", "random")
    for name in kept if by_layer else [None]:
        inside = kept[name] if name else torch.cat(list(kept.values()))
        outside = dropped[name] if name else torch.cat(list(dropped.values()))
        assert not len(inside) or not len(outside) or inside.min() >= outside.max()


@pytest.fixture(scope="module", params=["tied", "twice", "Embedded"])
def tied(request, images):
    return pretrain_tiny(images, f"tests.user_networks:{request.param}")


@every_method
def test_a_tied_weight_is_masked_once_and_saved_once(images, tied, method, tmp_path):
    found = extract(method, images, tied, 0.5, allow_factory=tied.spec.name)
    found.ticket.save(tmp_path / "ticket.safetensors")
    ticket = Ticket.load(tmp_path / "ticket.safetensors", allow_factory=tied.spec.name)
    model = ticket.build()
    distinct = {id(tensor): tensor for tensor in [*model.parameters(), *model.buffers()]}
    assert len(ticket.state) == len(distinct) - 2  # without mean and deviation of the pixels
    assert ticket.prunable == sum(mask.numel() for mask in ticket.masks.values()) < 500
    for name, parameter in model.named_parameters(remove_duplicate=False):
        assert name not in ticket.masks or not parameter[~ticket.masks[name]].any()
    assert ticket.kept == ticket.prunable // 2
