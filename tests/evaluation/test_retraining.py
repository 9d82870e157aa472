import pytest
import torch

from lottery_pipeline.evaluation.retraining import retrain_ticket
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.tickets import Ticket, TicketError
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.loop import train
from lottery_pipeline.training.recipe import Recipe
from tests.tiny import OWN_MODEL, RECIPE, draw_images, extract, same_bits


def test_retraining_is_masked_training_from_the_rewind_step(images, extraction, retraining):
    ticket = extraction.ticket
    training = train(
        ticket.build(),
        images,
        RECIPE,
        seed=derive_seed(0, "retraining"),
        masks=ticket.masks,
        start_step=2,
        device="cpu",
    )
    assert same_bits(retraining.ticket.state, training.state)
    assert retraining.epochs == 2.0
    assert [row["step"] for row in retraining.history] == [4, 6]
    assert retraining.early_stop_step == training.early_stop_step


def test_ltr_at_density_1_is_plain_training_from_theta_k(images, dense):
    ticket = extract("ltr", images, dense, density=1.0).ticket
    model = ticket.build()
    model.load_state_dict(dense.rewind)
    plain = train(model, images, RECIPE, seed=derive_seed(0, "retraining"), start_step=2, device="cpu")
    assert same_bits(retrain_ticket(ticket, images, RECIPE, seed=0, device="cpu").ticket.state, plain.state)


def test_the_trained_ticket_keeps_mask_and_provenance_and_opens_from_its_file(
    images, dense, extraction, retraining, tmp_path
):
    trained = retraining.ticket
    assert trained.header.kind == "trained"
    assert trained.header.parents == {
        "dense": dense.fingerprint,
        "images": images.fingerprint,
        "ticket": extraction.ticket.fingerprint,
    }
    assert same_bits(trained.masks, extraction.ticket.masks)
    for name, mask in trained.masks.items():
        assert not trained.state[name][~mask].any()
        assert not torch.equal(trained.state[name], extraction.ticket.state[name])
    assert trained.header.metrics["validation_accuracy"] == retraining.history[-1]["validation_accuracy"]
    assert trained.header.metrics["epochs"] == 2.0
    trained.save(tmp_path / "trained")
    assert Ticket.load(tmp_path / "trained", OWN_MODEL).to_bytes() == trained.to_bytes()


def test_retraining_leaves_the_ticket_as_it_was(images, extraction):
    before = extraction.ticket.to_bytes()
    retrain_ticket(extraction.ticket, images, RECIPE, seed=5, device="cpu")
    assert extraction.ticket.to_bytes() == before


def test_retraining_twice_gives_the_same_file_and_another_seed_another(images, extraction, retraining):
    again = retrain_ticket(extraction.ticket, images, RECIPE, seed=0, device="cpu")
    other = retrain_ticket(extraction.ticket, images, RECIPE, seed=1, device="cpu")
    assert again.ticket.to_bytes() == retraining.ticket.to_bytes()
    assert not same_bits(other.ticket.state, retraining.ticket.state)


def test_retraining_killed_at_any_epoch_ends_the_same(images, extraction, retraining, tmp_path):
    class KilledError(Exception):
        pass

    for epoch in (1, 2):
        seen = []

        def die(row, seen=seen, epoch=epoch):
            seen.append(row)
            if len(seen) == epoch:
                raise KilledError

        checkpoints = Checkpoints(tmp_path / str(epoch), interval_seconds=0)
        with pytest.raises(KilledError):
            retrain_ticket(
                extraction.ticket,
                images,
                RECIPE,
                seed=0,
                device="cpu",
                checkpoints=checkpoints,
                on_record=die,
            )
        resumed = retrain_ticket(
            extraction.ticket, images, RECIPE, seed=0, device="cpu", checkpoints=checkpoints
        )
        assert resumed.ticket.to_bytes() == retraining.ticket.to_bytes()


def test_a_ticket_may_be_retrained_under_any_recipe(images, extraction):
    recipe = Recipe(optimiser="adam", learning_rate=1e-2, iterations=7, batch_size=10, flip=True)
    result = retrain_ticket(extraction.ticket, images, recipe, seed=0, device="cpu")
    assert result.history[-1]["step"] == 7
    assert result.epochs == 3 / 4  # one epoch of 4 steps is behind the start weights


@pytest.mark.parametrize(
    ("batch_size", "first"),
    [(5, 8), (10, 4), (13, 3), (20, 2), (39, 1), (40, 1)],  # 13 and 39 leave one image out
)
def test_under_another_batch_size_the_ticket_starts_at_the_same_epoch(images, extraction, batch_size, first):
    recipe = RECIPE.replace(schedule="cosine", batch_size=batch_size, evaluation_interval=1)
    result = retrain_ticket(extraction.ticket, images, recipe, seed=0, device="cpu")
    assert result.epochs == 2.0
    assert result.history[0]["step"] == first + 1
    assert result.history[0]["learning_rate"] == pytest.approx(0.1 * 0.75)  # (1 + cos(pi / 3)) / 2 = 0.75
    assert (result.ticket.header.rewind_step, result.ticket.header.steps_per_epoch) == (2, 2)
    assert result.ticket.header.metrics.get("start_step") == (None if first == 2 else first)


def test_milestones_warm_up_and_a_longer_training_count_from_the_first_epoch_of_the_dense_run(
    images, extraction
):
    recipe = RECIPE.replace(
        batch_size=10, epochs=5, schedule="step", milestones=(2,), warmup_epochs=1.5, evaluation_interval=1
    )
    result = retrain_ticket(extraction.ticket, images, recipe, seed=0, device="cpu")
    rates = {row["step"]: row["learning_rate"] for row in result.history}
    # 4 steps an epoch, so the warm-up has 6; the rewind point is step 4.
    assert [rates[step] for step in (5, 6, 7, 8, 9)] == pytest.approx([0.1 * 5 / 6, 0.1, 0.1, 0.1, 0.01])
    assert result.epochs == 4.0


def test_a_ticket_of_an_older_version_starts_at_its_step_and_says_what_that_means(images, extraction, caplog):
    old = extraction.ticket.header
    ticket = make_ticket(
        method=old.method,
        spec=old.spec,
        masks=extraction.ticket.masks,
        state=extraction.ticket.state,
        seed=old.seed,
        rewind_step=old.rewind_step,
        parents=old.parents,
        allow_factory=OWN_MODEL,
    )
    result = retrain_ticket(ticket, images, RECIPE.replace(batch_size=10), seed=0, device="cpu")
    assert result.epochs == 2.5
    assert "The ltr ticket is of an older version" in caplog.text
    assert "its step 2 is taken as epoch 0.5 of this training" in caplog.text


def test_a_trained_ticket_is_not_retrained(images, retraining):
    with pytest.raises(TicketError, match="trained already"):
        retrain_ticket(retraining.ticket, images, RECIPE, seed=0, device="cpu")


def test_a_ticket_of_other_images_is_refused(extraction):
    with pytest.raises(TicketError, match="was made from other images"):
        retrain_ticket(extraction.ticket, draw_images(seed=1), RECIPE, seed=0, device="cpu")


def test_a_recipe_that_ends_before_the_rewind_step_is_refused(images, extraction):
    with pytest.raises(TicketError, match="starts at step 2, but the retraining recipe ends after 1"):
        retrain_ticket(extraction.ticket, images, RECIPE.replace(iterations=1), seed=0, device="cpu")
