from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.options.ownership import SignatureOptions
from lottery_pipeline.ownership.carriers import carrier_masks, place_groups
from lottery_pipeline.ownership.chain_log import read_log
from lottery_pipeline.ownership.commitment import Owner, commit_ticket, find_secrets
from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.mask_code import read_mark
from lottery_pipeline.ownership.signing import (
    draw_triggers,
    find_trigger_root,
    hold_carriers,
    mark_of,
    publish_ticket,
    sign_ticket,
    train_signed,
)
from lottery_pipeline.reproducibility.fingerprints import fingerprint_tensors
from lottery_pipeline.search.calibration import draw_calibration
from lottery_pipeline.search.scoring import batch_statistics
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket, make_ticket
from tests.ownership.owners import make_key
from tests.tiny import RECIPE, draw_images, draw_masks, pretrain_tiny

OPTIONS = SignatureOptions(
    owner="Zoë Example",
    groups=128,
    images_per_class=6,
    trigger_family="shapes",
    trigger_images=8,
    triggers_per_batch=4,
)


@pytest.fixture(scope="module")
def images():
    return draw_images(side=5)


@pytest.fixture(scope="module")
def dense(images):
    return pretrain_tiny(images, "lenet_300_100")


def ticket_of(images, dense, *, start="rewind", seed=0, **changes) -> Ticket:
    values = {
        "method": "ltr",
        "spec": dense.spec,
        "masks": draw_masks(dense.initial, seed=seed, density=0.15),
        "state": getattr(dense, start),
        "seed": 0,
        "rewind_step": dense.rewind_step if start == "rewind" else 0,
        "parents": {"dense": dense.fingerprint, "images": images.fingerprint},
        **changes,
    }
    return make_ticket(**values)


@pytest.fixture(scope="module")
def ticket(images, dense):
    return ticket_of(images, dense)


@pytest.fixture(scope="module")
def owner(tmp_path_factory):
    return Owner(make_key(), tmp_path_factory.mktemp("owner") / "chain.jsonl")


def commit(ticket, owner, images, options=OPTIONS):
    return commit_ticket(
        ticket, owner, options, find_trigger_root=lambda secrets: find_trigger_root(secrets, images, options)
    )


@pytest.fixture(scope="module")
def bundle(ticket, owner, images):
    return commit(ticket, owner, images)


@pytest.fixture(scope="module")
def mask_key(owner, bundle):
    return find_secrets(owner.key, bundle.commitment).mask_key


def sign(ticket, dense, images, bundle, mask_key, options=OPTIONS, *, seed=3):
    return sign_ticket(ticket, dense, images, bundle, mask_key, options, seed=seed, device="cpu")


@pytest.fixture(scope="module")
def signed(ticket, dense, images, bundle, mask_key):
    return sign(ticket, dense, images, bundle, mask_key)


def test_a_signed_ticket_has_the_counts_the_start_and_the_parents_of_the_unsigned(ticket, signed, bundle):
    found, _, _ = signed
    assert [(row.name, row.kept) for row in found.header.layers] == [
        (row.name, row.kept) for row in ticket.header.layers
    ]
    assert (found.method, found.header.kind, found.header.rewind_step) == ("ltr", "ticket", 2)
    assert found.header.steps_per_epoch == ticket.header.steps_per_epoch
    assert found.header.parents == {
        **ticket.header.parents,
        "unsigned": ticket.fingerprint,
        "credential": bundle.commitment_digest,
    }


def test_kept_weights_start_as_they_were_and_new_ones_from_the_dense_run(ticket, signed, dense):
    found = signed[0]
    new = 0
    for name, mask in found.masks.items():
        both = mask & ticket.masks[name]
        assert torch.equal(found.state[name][both], ticket.state[name][both])
        added = mask & ~ticket.masks[name]
        assert torch.equal(found.state[name][added], dense.rewind[name][added])
        assert not found.state[name][~mask].any()
        new += int(added.sum())
    assert new > 100
    for name, tensor in found.state.items():
        if name not in found.masks:
            assert torch.equal(tensor, ticket.state[name])


def test_the_edits_are_counted(ticket, signed):
    found, _, edits = signed
    assert edits == sum(int((found.masks[name] ^ mask).sum()) for name, mask in ticket.masks.items()) > 0


def test_the_mark_of_the_credential_is_in_the_signed_ticket_and_not_in_the_unsigned(
    ticket, signed, bundle, mask_key
):
    found, mark, _ = signed
    assert mark == mark_of(bundle, mask_key)
    assert (mark.count, mark.payload) == (128, bundle.payload)
    weights = {name: found.state[name] for name in found.masks}
    evidence = read_mark(weights, mark, found.masks)
    assert evidence.decoded
    assert evidence.best.matches == evidence.best.counted == 128
    unsigned = {name: ticket.state[name] for name in ticket.masks}
    assert read_mark(unsigned, mark, found.masks).bits < 10


def test_signing_again_gives_the_same_bytes_and_another_seed_other_calibration_images(
    ticket, dense, images, bundle, mask_key, signed
):
    assert sign(ticket, dense, images, bundle, mask_key)[0].to_bytes() == signed[0].to_bytes()
    other = sign(ticket, dense, images, bundle, mask_key, seed=4)[0]
    assert other.fingerprint != signed[0].fingerprint


def test_weights_are_added_where_the_gradient_of_the_loss_at_the_start_is_largest(
    ticket, dense, images, signed
):
    found, mark, _ = signed
    pixels, labels = draw_calibration(images, per_class=6, seed=3, device=torch.device("cpu"))
    model = ticket.build()
    with batch_statistics(model):
        cross_entropy(model(pixels), labels).backward()
    carriers = carrier_masks(place_groups(mark.key, ticket.masks, mark.planned), ticket.masks)
    for name, chosen in carriers.items():
        gradient = model.get_parameter(name).grad.abs()
        before, after = ticket.masks[name], found.masks[name]
        rows, columns = before.any(1), before.any(0)
        open_places = ~before & ~chosen & rows[:, None] & columns[None, :]
        added = after & open_places
        assert added.any()
        # Channels that had lost their last weight come first; all others are the largest.
        ranked = gradient[open_places].sort(descending=True).values
        assert (gradient[added] >= ranked[int(added.sum()) - 1]).float().mean() > 0.8
        assert gradient[added].mean() > 3 * gradient[open_places].mean()


def test_a_ticket_from_the_initial_weights_takes_its_new_weights_from_there(images, dense, owner):
    ticket = ticket_of(images, dense, start="initial")
    bundle = commit(ticket, owner, images)
    found = sign(ticket, dense, images, bundle, find_secrets(owner.key, bundle.commitment).mask_key)[0]
    for name, mask in found.masks.items():
        assert torch.equal(found.state[name][mask], dense.initial[name][mask])


def test_a_resnet20_is_signed_with_its_batch_norm_and_kernels(images, owner):
    dense = pretrain_tiny(images, "resnet20")
    ticket = ticket_of(images, dense)
    bundle = commit(ticket, owner, images)
    found, mark, edits = sign(
        ticket, dense, images, bundle, find_secrets(owner.key, bundle.commitment).mask_key
    )
    weights = {name: found.state[name] for name in found.masks}
    evidence = read_mark(weights, mark, found.masks)
    assert evidence.decoded
    assert evidence.best.matches == 128
    assert found.kept == ticket.kept
    assert 128 < edits < 128 * 6
    for name, tensor in found.state.items():
        if name not in found.masks:
            assert torch.equal(tensor, ticket.state[name])


def test_grinding_saves_edits_and_the_trial_is_in_the_mark(images, dense, ticket, owner):
    options = OPTIONS.model_copy(update={"grinding_bits": 6})
    bundle = commit(ticket, owner, images, options)
    mask_key = find_secrets(owner.key, bundle.commitment).mask_key
    found, mark, _ = sign(ticket, dense, images, bundle, mask_key, options)
    first = replace(mark, trial=0)
    assert mark.trial > 0
    assert mark.grinding_bits == 6
    weights = {name: found.state[name] for name in found.masks}
    assert read_mark(weights, mark, found.masks).decoded
    assert not read_mark(weights, first, found.masks).decoded
    trained = replace(found, header=found.header.model_copy(update={"kind": "trained"}))
    published = publish_ticket(trained, bundle, owner, accuracy=0.5, trial=mark.trial)
    assert published.release.grinding_trial == mark.trial
    assert mark_of(published, mask_key) == mark


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"kind": "trained"}, OwnershipError, "this ticket is trained already; sign the ticket it came from"),
        ({"seed": 1}, OwnershipError, "made for another ticket; commit to this one first"),
        (
            {"rewind_step": 1},
            OwnershipError,
            "starts at step 1, but the dense run has weights of steps 0 and 2",
        ),
    ],
    ids=["trained", "other masks", "another step"],
)
def test_a_ticket_that_was_not_committed_to_is_refused(
    changes, error, words, images, dense, bundle, mask_key
):
    with pytest.raises(error, match=words):
        sign(ticket_of(images, dense, **changes), dense, images, bundle, mask_key)


def test_a_ticket_of_other_images_is_refused(ticket, dense, bundle, mask_key):
    with pytest.raises(TicketError, match="was made from other images"):
        sign(ticket, dense, draw_images(side=5, seed=1), bundle, mask_key)


def test_the_dense_run_of_another_network_or_seed_is_refused(ticket, dense, images, bundle, mask_key):
    narrow = replace(dense, spec=dense.spec.model_copy(update={"ignore_layers": ("fc",)}))
    with pytest.raises(
        OwnershipError, match="the ltr ticket is of another network than the dense run at hand"
    ):
        sign(ticket, narrow, images, bundle, mask_key)
    other = replace(dense, fingerprint="c" * 64)
    with pytest.raises(
        OwnershipError, match=r"was found in another dense run than the one at hand \(cccccccccccc\)"
    ):
        sign(ticket, other, images, bundle, mask_key)


def test_of_a_ticket_within_a_ticket_the_run_of_its_parent_is_taken(dense, images, owner):
    own = {"dense": "d" * 64, "parent_run": dense.fingerprint, "images": images.fingerprint}
    ticket = ticket_of(images, dense, parents=own, method="layer>cts")
    bundle = commit(ticket, owner, images)
    found = sign(ticket, dense, images, bundle, find_secrets(owner.key, bundle.commitment).mask_key)[0]
    assert found.header.parents["parent_run"] == dense.fingerprint


# The margin ---------------------------------------------------------------------------------------------


def test_the_floors_are_those_of_the_kept_carriers_and_spread_by_the_key(signed):
    found, mark, _ = signed
    margin = hold_carriers(found, mark, 0.3)
    assert margin.strength == 0.3
    carriers = carrier_masks(place_groups(mark.key, found.masks, mark.planned), found.masks)
    assert list(margin.floors) == list(carriers)
    values = []
    for name, floor in margin.floors.items():
        assert torch.equal(floor > 0, carriers[name] & found.masks[name])
        values.append(floor[floor > 0])
    values = torch.cat(values)
    assert len(values) == 128
    assert 0.75 <= float(values.min()) < 0.8
    assert 1.45 < float(values.max()) <= 1.5
    assert float(values.mean()) == pytest.approx(1.125, abs=5 * 0.75 / (12 * 128) ** 0.5)
    again, other = hold_carriers(found, mark, 0.3), hold_carriers(found, replace(mark, trial=1), 0.3)
    assert margin.record() == again.record() != other.record()
    assert hold_carriers(found, mark, 0.0) is None


def test_held_carriers_are_larger_after_training(signed, images):
    found, mark, _ = signed
    recipe = RECIPE.model_copy(update={"epochs": 8})

    def share_above(strength):
        margin = hold_carriers(found, mark, strength)
        trained = retrain_ticket(found, images, recipe, seed=0, device="cpu", margin=margin).ticket
        kept = torch.cat(
            [t[trained.masks[name]] for name, t in trained.state.items() if name in trained.masks]
        )
        typical = kept.square().mean().sqrt()
        chosen = hold_carriers(found, mark, 1.0).floors
        sizes = torch.cat([trained.state[name][floor > 0].abs() for name, floor in chosen.items()])
        assert trained.header.parents["credential"] == found.header.parents["credential"]
        return float((sizes > 0.7 * typical).float().mean())

    assert share_above(0.0) < 0.7
    assert share_above(1.0) > 0.95


def test_a_signed_ticket_is_trained_with_its_triggers_and_its_carriers_held(signed, bundle, owner, images):
    found, mark, _ = signed
    plain = OPTIONS.model_copy(update={"triggers_per_batch": 0, "margin": 0.0})

    def trained(options):
        return train_signed(found, images, RECIPE, bundle, owner.key, options, seed=0, device="cpu").ticket

    results = {
        name: fingerprint_tensors(trained(options).state)
        for name, options in {
            "plain": plain,
            "margin": plain.model_copy(update={"margin": 1.0}),
            "triggers": plain.model_copy(update={"triggers_per_batch": 4}),
        }.items()
    }
    assert len(set(results.values())) == 3
    alone = retrain_ticket(found, images, RECIPE, seed=0, device="cpu").ticket
    assert fingerprint_tensors(alone.state) == results["plain"]
    held = retrain_ticket(found, images, RECIPE, seed=0, device="cpu", margin=hold_carriers(found, mark, 1.0))
    assert fingerprint_tensors(held.ticket.state) == results["margin"]


def test_training_needs_the_key_of_the_credential(signed, bundle, images):
    with pytest.raises(OwnershipError, match="was made with another key"):
        train_signed(signed[0], images, RECIPE, bundle, make_key(2), OPTIONS, seed=0, device="cpu")


def test_the_four_trigger_sets_are_drawn_from_the_four_keys(owner, bundle, images):
    secrets = find_secrets(owner.key, bundle.commitment)
    sets = draw_triggers(secrets, images, OPTIONS)
    assert [one.key for one in sets] == list(secrets.trigger_keys)
    assert {len(one) for one in sets} == {8}
    assert find_trigger_root(secrets, images, OPTIONS).hex() == bundle.commitment.trigger_root


# The release --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(signed, images):
    return retrain_ticket(signed[0], images, RECIPE, seed=0, device="cpu").ticket


def test_a_release_says_what_was_published(trained, bundle, owner, mask_key):
    published = publish_ticket(trained, bundle, owner, accuracy=0.9526464)
    said = published.release
    assert said.commitment == bundle.commitment_digest
    assert said.marked_masks == fingerprint_tensors(trained.masks)
    assert said.tensors == fingerprint_tensors(trained.state)
    assert (said.ticket, said.accuracy_ppm, said.grinding_trial) == (trained.fingerprint, 952_646, 0)
    assert said.trigger_root == bundle.commitment.trigger_root
    digests = [entry.digest for entry in read_log(owner.log)]
    places = [
        digests.index(envelope.digest.hex())
        for envelope in (published.commitment_envelope, published.release_envelope)
    ]
    assert places == sorted(places)
    assert published.commitment_time <= published.release_time
    assert mark_of(published, mask_key) == mark_of(bundle, mask_key)


@pytest.mark.parametrize("parents", [{}, {"credential": "e" * 64}], ids=["unsigned", "another credential"])
def test_a_ticket_that_was_not_signed_for_the_credential_is_not_published(
    parents, images, dense, bundle, owner
):
    before = owner.log.read_bytes()
    stranger = ticket_of(images, dense, kind="trained", parents=parents)
    with pytest.raises(OwnershipError, match="the trained ticket was signed for another credential"):
        publish_ticket(stranger, bundle, owner, accuracy=0.5)
    assert owner.log.read_bytes() == before


def test_the_key_of_somebody_else_publishes_nothing(trained, bundle, tmp_path):
    with pytest.raises(OwnershipError):
        publish_ticket(trained, bundle, Owner(make_key(2), tmp_path / "chain.jsonl"), accuracy=0.5)
