import hashlib
import os
import pickle
import time
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from lottery_pipeline.ownership.carriers import plan_groups
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.mask_code import Mark, read_mark, sign_masks
from lottery_pipeline.ownership.suspect import gather_suspect, read_suspect
from lottery_pipeline.tickets.ticket import make_ticket
from tests.ownership.hostile_suspects import forge_suspects, write
from tests.ownership.marks import (
    KEY,
    PAYLOAD,
    add_channels,
    channels_of,
    choose,
    draw_factors,
    draw_orders,
)
from tests.tickets.lies import forge_files
from tests.tiny import OWN_MODEL, draw_masks, draw_ticket, tiny_spec

BLOCK = "network.layer2.1."


@pytest.fixture(scope="module")
def lenet():
    return draw_ticket(width=4)


@pytest.fixture(scope="module")
def resnet():
    """A signed ResNet-20 and its mark."""
    unsigned = draw_ticket("resnet20", width=4)
    mark = Mark(KEY, PAYLOAD, plan_groups(unsigned.masks, 144))
    start = {name: torch.full(mask.shape, 0.1) for name, mask in unsigned.masks.items()}
    masks = sign_masks(unsigned.masks, mark, start, start).masks
    state = {
        **unsigned.state,
        **{name: unsigned.state[name] + 0.1 * (unsigned.state[name] == 0) for name in masks},
    }
    values = {"method": "ltr", "spec": unsigned.header.spec, "seed": 0, "rewind_step": 0, "parents": {}}
    return make_ticket(masks=masks, state=state, kind="trained", **values), mark


def save(tensors, path, metadata=None):
    safetensors.torch.save_file({n: t.contiguous() for n, t in tensors.items()}, path, metadata=metadata)
    return path


def own_weights(ticket):
    return {name: ticket.state[name] for name in ticket.masks}


def read(path, resnet, *, aligned=True):
    """Read a suspect's file and look for the mark."""
    ticket, mark = resnet
    suspect = read_suspect(path, ticket)
    means = {"reference": own_weights(ticket), "channels": channels_of(ticket.build())} if aligned else {}
    return suspect, read_mark(suspect.weights, mark, ticket.masks, **means)


def test_a_ticket_and_a_trained_ticket_are_read(lenet, tmp_path):
    for kind in ("ticket", "trained"):
        ticket = draw_ticket(width=4, kind=kind)
        path = tmp_path / kind
        ticket.save(path)
        suspect = read_suspect(path, lenet)
        assert suspect.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert suspect.missing == ()
        assert list(suspect.weights) == list(lenet.masks)
        assert all(torch.equal(suspect.weights[name], lenet.state[name]) for name in lenet.masks)


def test_the_network_of_a_suspect_that_fits_is_ready_to_classify(resnet, tmp_path):
    ticket, _ = resnet
    suspect = read_suspect(save(ticket.state, tmp_path / "plain"), ticket)
    images = torch.rand(5, 1, 4, 4)
    assert not suspect.model.training
    with torch.no_grad():
        assert torch.equal(suspect.model(images), ticket.build().eval()(images))


PRECISIONS = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_weights_of_another_precision_are_read(dtype, lenet, tmp_path):
    tensors = {name: tensor.to(dtype) for name, tensor in lenet.state.items()}
    suspect = read_suspect(save(tensors, tmp_path / "weights"), lenet)
    for name, weight in suspect.weights.items():
        assert weight.dtype == torch.float32
        torch.testing.assert_close(weight, lenet.state[name], rtol=0.01, atol=1e-3)
    assert suspect.model is not None


def test_integer_weights_are_read(resnet, tmp_path):
    weights = own_weights(resnet[0])
    int8 = {name: (w / w.abs().max() * 127).round().to(torch.int8) for name, w in weights.items()}
    suspect, found = read(save(int8, tmp_path / "int8"), resnet, aligned=False)
    assert suspect.model is None  # without batch norm
    assert found.decoded


@pytest.mark.parametrize(
    "rename",
    [
        lambda name: "module." + name,
        lambda name: "_orig_mod.module." + name,
        lambda name: name.removeprefix("network."),
        lambda name: "model." + name.removeprefix("network."),
        lambda name: "state_dict." + name,
    ],
    ids=["parallel", "compiled", "bare", "model", "checkpoint"],
)
def test_other_prefixes_are_read(rename, lenet, tmp_path):
    tensors = {rename(name): tensor for name, tensor in lenet.state.items()}
    suspect = read_suspect(save(tensors, tmp_path / "weights", {"format": "pt"}), lenet)
    assert all(torch.equal(suspect.weights[name], lenet.state[name]) for name in lenet.masks)
    assert suspect.model is not None


def test_a_dense_suspect_is_read(resnet, tmp_path):
    ticket, _ = resnet
    dense = {name: w + 1e-3 * torch.randn(w.shape) for name, w in own_weights(ticket).items()}
    suspect, found = read(save(dense, tmp_path / "dense"), resnet, aligned=False)
    assert all((weight != 0).all() for weight in suspect.weights.values())
    assert found.decoded


def test_a_permuted_rescaled_suspect_with_added_channels_and_without_batch_norm_is_read(resnet, tmp_path):
    ticket, _ = resnet
    channels = channels_of(ticket.build())
    wider, grown = add_channels(own_weights(ticket), channels, extra=3, seed=1)
    changed = choose(wider, grown, draw_orders(grown, 2), draw_factors(grown, 2, negative=True))
    biases = {name.replace("weight", "bias"): torch.randn(len(w)) for name, w in changed.items()}
    suspect, found = read(save({**changed, **biases}, tmp_path / "rewritten"), resnet)
    assert suspect.model is None
    assert suspect.weights["network.layer1.0.conv1.weight"].shape == (19, 19, 3, 3)
    assert found.best.aligned
    assert found.decoded


def test_a_suspect_with_missing_channels_is_read(resnet, tmp_path):
    ticket, _ = resnet
    channels = [group for group in channels_of(ticket.build()) if group.name.endswith("conv1")][1:]
    orders = {group.name: list(range(2, group.size)) for group in channels}
    narrow = choose(own_weights(ticket), channels, orders)
    suspect, found = read(save(narrow, tmp_path / "narrow"), resnet)
    assert suspect.weights["network.layer3.2.conv1.weight"].shape == (62, 64, 3, 3)
    assert found.bits > 64


def test_a_suspect_without_a_residual_block_is_read(resnet, tmp_path):
    ticket, mark = resnet
    left = {name: tensor for name, tensor in ticket.state.items() if not name.startswith(BLOCK)}
    suspect, found = read(save(left, tmp_path / "shallow"), resnet, aligned=False)
    assert suspect.missing == (f"{BLOCK}conv1.weight", f"{BLOCK}conv2.weight")
    assert suspect.model is None
    gone = sum(mark.planned.get(name, 0) for name in suspect.missing)
    assert (found.best.matches, found.best.counted) == (144 - gone, 144 - gone)


@pytest.mark.parametrize(
    "missing", [f"{BLOCK}conv1.weight", "network.conv1.weight", "network.layer2.0.", "network.fc.weight"]
)
def test_a_layer_that_no_removed_block_explains_is_missed(missing, resnet):
    ticket, _ = resnet
    left = {name: tensor for name, tensor in ticket.state.items() if not name.startswith(missing)}
    with pytest.raises(
        OwnershipError, match=r"the suspect has \d+ of the 22 layers of the owner's resnet20 and lacks"
    ):
        gather_suspect(left, ticket)


def test_a_narrowed_ticket_is_read(resnet, tmp_path):
    block = "network.layer1.1"
    narrowed = ((f"{block}.conv1", 16, 5), (f"{block}.bn1", 5, 5), (f"{block}.conv2", 5, 16))
    spec = tiny_spec("resnet20", width=4, narrowed=narrowed, removed_blocks=("network.layer3.2",))
    state = {name: tensor.clone() for name, tensor in resnet[0].state.items()}
    for name in list(state):
        if name.startswith("network.layer3.2."):
            del state[name]
    for name, tensor in list(state.items()):
        if name.startswith(f"{block}.conv1") or (name.startswith(f"{block}.bn1") and tensor.dim()):
            state[name] = tensor[:5]
    state[f"{block}.conv2.weight"] = state[f"{block}.conv2.weight"][:, :5]
    masks = {name: state[name] != 0 for name in resnet[0].masks if name in state}
    masks["network.fc.weight"] |= True
    small = make_ticket(method="ltr", spec=spec, masks=masks, state=state, seed=0, rewind_step=0, parents={})
    small.save(tmp_path / "small")
    suspect, found = read(tmp_path / "small", resnet)
    assert suspect.weights[f"{block}.conv1.weight"].shape[0] == 5
    assert found.bits > 64


def test_extra_tensors_are_ignored_and_not_even_read(lenet, tmp_path):
    huge = torch.zeros(2**24, dtype=torch.uint8)
    tensors = {**lenet.state, "optimiser.momentum": huge, "epoch": torch.tensor(3)}
    started = time.perf_counter()
    suspect = read_suspect(save(tensors, tmp_path / "more"), lenet)
    assert time.perf_counter() - started < 2
    assert list(suspect.weights) == list(lenet.masks)
    assert suspect.model is not None


def test_what_does_not_fit_the_architecture_gives_no_network_to_classify_with(lenet):
    wider = {**lenet.state, "network.fc.bias": torch.zeros(7)}
    assert gather_suspect(wider, lenet).model is None


def test_a_model_of_the_users_own_is_built_only_by_the_factory_that_the_owner_trusts(tmp_path):
    own = {"spec": tiny_spec(OWN_MODEL), "allow_factory": OWN_MODEL}
    from lottery_pipeline.models.registry import build_model

    state = build_model(own["spec"], seed=0, allow_factory=OWN_MODEL).state_dict()
    ticket = draw_ticket(state=state, masks=draw_masks(state, density=0.5), **own)
    ticket.save(tmp_path / "own")
    assert read_suspect(tmp_path / "own", ticket).model is not None
    with pytest.raises(OwnershipError, match="is code outside this package"):
        read_suspect(tmp_path / "own", replace(ticket, allow_factory=None))
    with pytest.raises(OwnershipError, match="is code outside this package"):
        read_suspect(tmp_path / "own", draw_ticket(width=4))


# Hostile suspects ---------------------------------------------------------------------------------------


def assert_refused_in_one_sentence(path, owner, what: str) -> None:
    said = ""
    try:
        read_suspect(path, owner)
    except OwnershipError as error:
        said = str(error)
    assert said, f"{what}: it was read"
    assert "\n" not in said, what
    assert 20 < len(said) < 700, f"{what}: {said}"


def test_a_hundred_hostile_files_end_in_one_sentence(lenet, tmp_path):
    path, count = tmp_path / "suspect", 0
    for what, content in forge_suspects(lenet.state, "network.fc1.weight"):
        path.write_bytes(content)
        started = time.perf_counter()
        assert_refused_in_one_sentence(path, lenet, what)
        assert time.perf_counter() - started < 2, what
        count += 1
    assert count >= 80


def test_hostile_tickets_end_in_one_sentence(lenet, tmp_path):
    path, count = tmp_path / "suspect", 0
    for what, content in forge_files(draw_ticket(width=3).to_bytes()):
        path.write_bytes(content)
        assert_refused_in_one_sentence(path, lenet, what)
        count += 1
    assert count >= 100


def test_what_is_not_a_file_is_refused(lenet, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "private").write_bytes(b"")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, words in [
        (tmp_path, "it is not a regular file"),
        (tmp_path / "pipe", "it is not a regular file"),
        (tmp_path / "nothing", "No such file"),
        (tmp_path / "private", "too few for a safetensors file"),
        (tmp_path / "loop", "it cannot be read"),
        (tmp_path / ("a" * 300), "it cannot be read"),
        (tmp_path / "nothing" / "at" / "all", "No such file"),
    ]:
        with pytest.raises(OwnershipError, match=words) as error:
            read_suspect(path, lenet)
        assert str(error.value).startswith("the suspect cannot be read: cannot use ")


def test_a_pickle_is_not_unpickled(lenet, tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    torch.save({"weights": lenet.state, "trap": Trap()}, tmp_path / "model.pt")
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Trap()))
    for name in ("model.pt", "model.pkl"):
        with pytest.raises(OwnershipError, match="the suspect cannot be read"):
            read_suspect(tmp_path / name, lenet)
    assert not (tmp_path / "sprung").exists()


def test_a_file_of_four_gibibytes_of_zeros_is_refused_at_once(lenet, tmp_path):
    for content in (b"", write(lenet.state)):
        (tmp_path / "suspect").write_bytes(content)
        os.truncate(tmp_path / "suspect", 2**32)  # sparse: takes no disk
        started = time.perf_counter()
        with pytest.raises(OwnershipError):
            read_suspect(tmp_path / "suspect", lenet)
        assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnet20", r"has 1 of the 3 layers of the owner's lenet_300_100 and lacks network\.fc1\.weight"),
        (
            "conv2",
            r"has the shape \[256, 1024\], but the owner's is \[300, 16\]; only the numbers of channels",
        ),
    ],
)
def test_another_architecture_is_named(name, words, lenet, tmp_path):
    draw_ticket(name, width=8).save(tmp_path / "other")
    with pytest.raises(OwnershipError, match=words):
        read_suspect(tmp_path / "other", lenet)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("network.layer1.0.conv1.weight", (19, 16, 3, 3)),
        ("network.layer1.0.conv1.weight", (16, 13, 3, 3)),
        ("network.conv1.weight", (17, 1, 3, 3)),
        ("network.layer2.0.downsample.0.weight", (30, 16, 1, 1)),
        ("network.fc.weight", (3, 60)),
    ],
)
def test_layers_that_do_not_fit_together_are_refused_when_the_mark_is_read(name, shape, resnet, tmp_path):
    broken = {**own_weights(resnet[0]), name: torch.randn(shape)}
    with pytest.raises(OwnershipError, match=r"^the suspect's layers do not fit together"):
        read(save(broken, tmp_path / "broken"), resnet)


def test_a_suspect_of_constant_huge_or_tiny_weights_shows_no_evidence(resnet, tmp_path):
    weights = own_weights(resnet[0])
    for value in (0.0, 1.0, 3e38, 1e-45):
        flat = {name: torch.full(w.shape, value) for name, w in weights.items()}
        _, found = read(save(flat, tmp_path / "flat"), resnet, aligned=False)
        assert found.bits == 0
