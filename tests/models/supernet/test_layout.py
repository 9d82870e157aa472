import time

import pytest

from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.supernet.architecture import BlockWidths
from lottery_pipeline.models.supernet.config import Attention, Head, Stage, Supernet
from lottery_pipeline.models.supernet.layout import MAX_PARAMETERS, lay_out
from lottery_pipeline.models.supernet.presets import PRESETS
from lottery_pipeline.models.supernet.units import search_blocks
from tests.models.supernet.networks import TINY, spec_of

BRANCH = "network.stages.s2.branch2.block1"


def full(config=TINY, size=(8, 8)):
    return tuple(block.widths() for block in lay_out(config, size).values())


def test_the_blocks_of_the_digits_preset():
    found = {
        block.name.removeprefix("network."): (
            block.kind,
            block.channels_in,
            block.channels_out,
            block.stride,
            block.size,
            block.hidden[0][1],
            block.tokens,
        )
        for block in lay_out(PRESETS["digits8"], (8, 8)).values()
    }
    assert found == {
        "stages.s1.fuse.from1_to1": ("fuse", 8, 8, 1, (8, 8), 16, 8),
        "stages.s1.branch1.block1": ("branch", 8, 8, 1, (8, 8), 16, 8),
        "stages.s2.fuse.from1_to1": ("fuse", 8, 8, 1, (8, 8), 16, 8),
        "stages.s2.fuse.from1_to2": ("fuse", 8, 16, 2, (4, 4), 16, 0),
        "stages.s2.branch1.block1": ("branch", 8, 8, 1, (8, 8), 16, 8),
        "stages.s2.branch2.block1": ("branch", 16, 16, 1, (4, 4), 32, 8),
        "head.widen1": ("head", 8, 16, 1, (8, 8), 16, 0),
        "head.widen2": ("head", 16, 32, 1, (4, 4), 32, 0),
        "head.from1_to2": ("head", 16, 32, 2, (4, 4), 32, 0),
    }


def test_only_neighbours_are_fused_and_a_new_branch_reads_the_last_fused_one():
    paths = [
        (name.rpartition(".")[2], block.channels_in, block.channels_out, block.stride)
        for name, block in lay_out(PRESETS["hrnas"], (224, 224)).items()
        if name.startswith("network.stages.s4.fuse.")
    ]
    assert paths == [
        ("from1_to1", 18, 18, 1),
        ("from2_to1", 36, 18, 1),
        ("from1_to2", 18, 36, 2),
        ("from2_to2", 36, 36, 1),
        ("from3_to2", 72, 36, 1),
        ("from2_to3", 36, 72, 2),
        ("from3_to3", 72, 72, 1),
        ("from3_to4", 72, 144, 2),
    ]


def test_attention_may_be_limited_to_branches_or_switched_off():
    def tokens(attention):
        return {
            block.name: block.tokens
            for block in lay_out(TINY.model_copy(update={"attention": attention}), (8, 8)).values()
            if block.tokens
        }

    assert tokens(Attention(tokens=3, branches=(2,))) == {BRANCH: 3}
    assert tokens(Attention(enabled=False)) == {}
    assert len(tokens(Attention(tokens=3))) == 5


@pytest.mark.parametrize("preset", list(PRESETS))
def test_layouts_name_the_blocks_of_the_network_in_its_order(preset):
    spec = spec_of(preset, 64)
    model = build_model(spec, seed=0, device="meta")
    assert list(lay_out(spec.supernet, (64, 64))) == [name for name, _ in search_blocks(model)]


def change(block, **update):
    return tuple(widths.model_copy(update=update) if widths.block == block else widths for widths in full())


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (lambda: full()[:-1], "must name every searchable block; network.head.from1_to2 is missing \\(1 in"),
        (lambda: (*full(), full()[0]), "names the block network.stages.s1.fuse.from1_to1 twice"),
        (
            lambda: (*full(), BlockWidths(block="network.stages.s2.branch2.block2")),
            "'network.stages.s2.branch2.block2' is not a searchable block of this supernet .did you mean",
        ),
        (lambda: change(BRANCH, hidden=((7, 1),)), "has no kernel 7; its kernels are 3, 5"),
        (lambda: change(BRANCH, hidden=((3, 7),)), "has 6 hidden channels of kernel 3 in the supernet"),
        (lambda: change(BRANCH, tokens=4), "has 3 tokens in the supernet, so it cannot have 4"),
        (lambda: change("network.head.widen1", tokens=1), "has 0 tokens in the supernet"),
    ],
)
def test_an_architecture_that_is_not_of_this_supernet_is_refused(architecture, message):
    with pytest.raises(ModelError, match=message):
        build_model(spec_of(architecture=architecture()), seed=0)


def test_the_full_architecture_is_the_full_network():
    assert lay_out(TINY, (8, 8), full()) == lay_out(TINY, (8, 8))


def test_a_network_that_is_too_large_is_refused_before_it_is_built():
    config = Supernet(
        input_stride=1,
        stem_channels=2048,
        stages=(Stage(blocks=(16,), channels=(2048,)),) * 8,
        expand_ratio=16,
    )
    started = time.monotonic()
    with pytest.raises(ModelError, match=f"more than the {MAX_PARAMETERS} that are allowed"):
        build_model(spec_of(config), seed=0)
    many = spec_of(TINY.model_copy(update={"head": Head(width=8192)}), num_classes=100_000)
    with pytest.raises(ModelError, match="parameters, more than"):
        build_model(many, seed=0)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize("preset", list(PRESETS))
def test_the_bound_is_a_little_above_the_real_number_of_parameters(preset, monkeypatch):
    spec = spec_of(preset, 64, num_classes=2, channels=3)
    real = sum(parameter.numel() for parameter in build_model(spec, seed=0, device="meta").parameters())
    monkeypatch.setattr("lottery_pipeline.models.supernet.layout.MAX_PARAMETERS", real - 1)
    with pytest.raises(ModelError, match="parameters, more than"):
        build_model(spec, seed=0, device="meta")
    monkeypatch.setattr("lottery_pipeline.models.supernet.layout.MAX_PARAMETERS", 1.2 * real)
    assert build_model(spec, seed=0, device="meta")
