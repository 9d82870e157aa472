import torch

from lottery_pipeline.reproducibility.seeds import derive_seed, make_generator


def test_the_same_labels_give_the_same_seed_on_every_machine():
    assert derive_seed(0, "round", 3) == derive_seed(0, "round", "3")
    assert derive_seed(0, "round", 3) == 1798428701067622117


def test_streams_of_one_run_differ():
    labels = [("round", 1), ("round", 2), ("round", 12), ("round1", 2), ("dense",)]
    assert len({derive_seed(0, *label) for label in labels} | {derive_seed(1, "dense")}) == 6


def test_seeds_fit_a_torch_generator():
    assert all(0 <= derive_seed(seed) < 2**63 for seed in range(100))


def test_generators_leave_the_global_state_alone():
    before = torch.random.get_rng_state()
    first = torch.rand(3, generator=make_generator(7, "augmentation"))
    assert torch.equal(first, torch.rand(3, generator=make_generator(7, "augmentation")))
    assert torch.equal(before, torch.random.get_rng_state())
