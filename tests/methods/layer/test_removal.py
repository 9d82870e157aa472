"""The iterative search: one block at a time, and resuming after a kill."""

import pytest

import lottery_pipeline.methods.layer.removal as layer_rounds
from lottery_pipeline.methods.layer.layer import extract_layer
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Search
from lottery_pipeline.training.recipe import Recipe
from tests.methods.layer.networks import RECIPE, untrained_run
from tests.tiny import draw_images, must_not_train, same_bits, timeless


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def images():
    return draw_images(side=8, counts=(12, 4, 4))


@pytest.fixture(scope="module")
def dense(images):
    return untrained_run(images)


def extract(images, dense, *, recipe=RECIPE, checkpoints=None, on_record=None, **options):
    values = {"criterion": "snip", "removed": 3, "iterative": True, "images_per_class": 2, **options}
    return extract_layer(
        Search(images, dense, recipe, seed=0, device="cpu", checkpoints=checkpoints, on_record=on_record),
        LayerOptions(**values),
    )


def collect(records, limit=None):
    def on_record(label, row):
        records.append((label, *timeless([row])))
        if len(records) == limit:
            raise KilledError

    return on_record


def test_every_round_scores_what_is_left_and_removes_one_block(images, dense):
    found = extract(images, dense)
    rounds = [[row for row in found.trace if row["round"] == number] for number in (1, 2, 3)]
    assert [len(rows) for rows in rounds] == [6, 5, 4]
    gone = []
    for rows in rounds:
        assert not {row["block"] for row in rows} & set(gone)
        gone += [row["block"] for row in rows if row["removed"]]
    assert len(gone) == 3
    assert list(found.ticket.header.spec.removed_blocks) == sorted(gone)
    assert len({name.rpartition(".")[0] for name in gone}) == 3  # the floor: one of each stage
    once = {row["block"]: row["snip_score"] for row in extract(images, dense, iterative=False).trace}
    assert all(row["snip_score"] != once[row["block"]] for row in rounds[1])


def test_a_fine_tuning_lies_between_removals_and_not_behind_the_last(images, dense, monkeypatch):
    seen, train = [], layer_rounds.train

    def spy(model, images, recipe, **options):
        seen.append((recipe, options["seed"], set(model.state_dict())))
        return train(model, images, recipe, **options)

    monkeypatch.setattr(layer_rounds, "train", spy)
    recipe = Recipe(
        learning_rate=0.1, epochs=9, batch_size=6, schedule="step", milestones=(5,), warmup_epochs=3
    )
    records = []
    options = {"fine_tuning_epochs": 2, "fine_tuning_rate": 0.03, "on_record": collect(records)}
    found = extract(images, dense, recipe=recipe, **options)
    assert [recipe.learning_rates(12) for recipe, _, _ in seen] == [[0.03] * 4] * 2
    assert [seed for _, seed, _ in seen] == [derive_seed(0, "fine_tuning", number) for number in (1, 2)]
    first = next(row["block"] for row in found.trace if row["removed"])
    assert not any(name.startswith(f"{first}.") for name in seen[0][2])
    assert [label for label, _ in records] == ["fine_tuning_01"] * 2 + ["fine_tuning_02"] * 2
    assert found.search_epochs == pytest.approx(3 * 6 / 12 + 2 * 2)


def test_kept_weights_are_rewound_or_the_fine_tuned_ones(images, dense):
    rewound = extract(images, dense, removed=2).ticket
    assert same_bits(rewound.state, {name: dense.initial[name] for name in rewound.state})
    tuned = extract(images, dense, removed=2, rewinding="learning_rate").ticket
    for state in (dense.initial, dense.rewind, dense.final):
        assert not same_bits(tuned.state, {name: state[name] for name in tuned.state})
    alone = extract(images, dense, removed=1, rewinding="learning_rate").ticket
    assert same_bits(alone.state, {name: dense.final[name] for name in alone.state})


def test_a_budget_ends_the_rounds(images, dense):
    found = extract(images, dense, removed=None, mac_budget=0.85)
    assert 1 <= len(found.ticket.header.spec.removed_blocks) <= 2
    assert len(found.ticket.header.spec.removed_blocks) == found.trace[-1]["round"]


def test_a_search_killed_at_any_record_resumes_and_ends_the_same(images, dense, tmp_path):
    expected = []
    options = {"fine_tuning_epochs": 2, "rewinding": "learning_rate"}
    whole = extract(images, dense, on_record=collect(expected), **options)
    assert len(expected) == 4
    for moment in (1, 2, 3, 4):
        folder = tmp_path / str(moment)
        with pytest.raises(KilledError):
            extract(
                images,
                dense,
                checkpoints=Checkpoints(folder, interval_seconds=0),
                on_record=collect([], limit=moment),
                **options,
            )
        records = []
        resumed = extract(
            images,
            dense,
            checkpoints=Checkpoints(folder, interval_seconds=0),
            on_record=collect(records),
            **options,
        )
        assert resumed.ticket.to_bytes() == whole.ticket.to_bytes()
        assert resumed.trace == whole.trace
        assert resumed.search_epochs == whole.search_epochs
        assert records == expected
        assert len(list(folder.iterdir())) == 1  # the finished search; its fine-tunings are cleared


def test_a_finished_search_serves_every_way_of_rewinding(images, dense, tmp_path, monkeypatch):
    first = extract(images, dense, checkpoints=Checkpoints(tmp_path))
    monkeypatch.setattr(layer_rounds, "train", must_not_train)
    monkeypatch.setattr(layer_rounds, "score_blocks", must_not_train)
    again = extract(images, dense, checkpoints=Checkpoints(tmp_path))
    assert again.ticket.to_bytes() == first.ticket.to_bytes()
    for options, step in (({"start": "rewind"}, dense.rewind_step), ({"rewinding": "learning_rate"}, 0)):
        rewound = extract(images, dense, checkpoints=Checkpoints(tmp_path), **options).ticket
        assert rewound.header.spec == first.ticket.header.spec
        assert rewound.header.rewind_step == step
        assert not same_bits(rewound.state, first.ticket.state)
