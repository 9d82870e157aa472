import pytest
import torch

from lottery_pipeline.methods.layer.cka import cka, feature_cka, gram_cka
from lottery_pipeline.tickets.errors import TicketError

FORMS = pytest.mark.parametrize("form", [cka, feature_cka, gram_cka])


def draw(samples=12, features=5, seed=0):
    return torch.randn(samples, features, generator=torch.Generator().manual_seed(seed)).double()


@FORMS
def test_two_features_by_hand(form):
    # Centred (1, -1) and (-1, 1): X^T Y = -2 and X^T X = Y^T Y = 2.
    assert form(torch.tensor([[3.0], [1.0]]), torch.tensor([[0.0], [2.0]])) == pytest.approx(1.0)
    # Columns at right angles have nothing in common.
    x, y = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]]), torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    assert form(x, y) == 0
    assert form(x, x + y) == pytest.approx(4**2 / (4 * 8))


@FORMS
def test_features_are_wholly_like_themselves(form):
    assert form(draw(), draw()) == pytest.approx(1.0, abs=1e-12)


def test_equal_features_differ_by_exactly_0():
    assert feature_cka(draw(), draw()) == 1.0


@FORMS
def test_rotation_scaling_and_shift_do_not_count(form):
    x, y = draw(), draw(seed=1)
    rotation = torch.linalg.qr(draw(5, 5, seed=2)).Q
    assert form(x @ rotation * 3 + 7, y) == pytest.approx(form(x, y), abs=1e-12)


@FORMS
def test_a_general_linear_map_does_count(form):
    x = draw()
    stretched = x * torch.tensor([10.0, 1, 1, 1, 0.1])
    assert form(x, stretched) < 0.9


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)])
def test_both_forms_are_equal(shape):
    x, y = draw(*shape), draw(shape[0], 7, seed=1)
    assert feature_cka(x, y) == pytest.approx(gram_cka(x, y), abs=1e-12)
    assert cka(x, y) == pytest.approx(cka(y, x), abs=1e-12)
    assert 0 < cka(x, y) < 1


def test_maps_are_taken_as_rows():
    maps = draw(6, 8)
    assert cka(maps.reshape(6, 2, 2, 2), maps) == pytest.approx(1.0)


@FORMS
def test_constant_features_are_refused(form):
    with pytest.raises(TicketError, match="same for all samples"):
        form(torch.ones(4, 3), draw(4, 3))


@FORMS
def test_other_samples_are_refused(form):
    with pytest.raises(TicketError, match="got 4 and 5"):
        form(draw(4), draw(5))
