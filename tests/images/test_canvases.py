import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from lottery_pipeline.images import canvas_drawing
from lottery_pipeline.images.canvas_drawing import compose_canvases
from lottery_pipeline.images.canvases import CANVASES_PER_DIGIT, find_canvases
from lottery_pipeline.images.digits import find_digits
from lottery_pipeline.images.labelled import LabelledImages
from lottery_pipeline.images.partition import partition_images
from lottery_pipeline.images.preparation import prepare_images
from lottery_pipeline.images.request import ImageError, ImageRequest
from lottery_pipeline.images.splits import PARTS

TASKS = ("classification", "segmentation", "keypoints")


def find(seed: int = 0, **fields) -> LabelledImages:
    return find_canvases(ImageRequest(source="canvases", **fields)).load(seed)


def prepare(task: str, seed: int = 0, **fields):
    # Few digits, so that few canvases are composed.
    request = ImageRequest(
        source="canvases", task=task, **{"test_fraction": 0.03, "validation_fraction": 0.02, **fields}
    )
    return prepare_images(request.model_copy(update={"train_limit": 60}), seed=seed)


@pytest.fixture(scope="module")
def prepared():
    return {task: prepare(task) for task in TASKS}


def test_the_pixels_are_the_same_for_every_task_and_the_labels_are_its_own(prepared):
    for part in PARTS:
        first, second, third = (getattr(prepared[task], part) for task in TASKS)
        assert torch.equal(first.images, second.images)
        assert torch.equal(first.images, third.images)
    assert [splits.task for splits in prepared.values()] == list(TASKS)
    shapes = [tuple(splits.train.labels.shape) for splits in prepared.values()]
    assert shapes == [(60,), (60, 32, 32), (60, 5, 3)]
    assert [splits.num_classes for splits in prepared.values()] == [10, 11, 5]
    means = {(splits.mean, splits.std) for splits in prepared.values()}
    assert len(means) == 1


def test_another_seed_gives_other_canvases(prepared):
    other = prepare("segmentation", seed=1)
    assert not torch.equal(other.train.images, prepared["segmentation"].train.images)
    assert torch.equal(prepare("segmentation").train.images, prepared["segmentation"].train.images)


def test_digits_are_split_before_canvases_are_composed():
    images = find()
    assert images.partition is not None
    tops = [set((part // CANVASES_PER_DIGIT).tolist()) for part in images.partition]
    assert sum(map(len, tops)) == len(set.union(*tops)) == 1797
    assert [len(part) for part in images.partition] == [4 * 1294, 4 * 144, 4 * 359]


def test_no_digit_of_another_part_is_on_a_canvas(monkeypatch):
    seen = {}

    def watch(plan, *rest):
        found = paint(plan, *rest)
        for row, present in zip(plan.digits.tolist(), plan.present.tolist(), strict=True):
            seen[len(seen)] = {digit for digit, there in zip(row, present, strict=True) if there}
        return found

    paint = canvas_drawing._paint
    monkeypatch.setattr(canvas_drawing, "_paint", watch)
    images = find()
    chosen = [part[::40] for part in images.partition]
    images.read(np.concatenate(chosen))
    shown = iter(seen.values())
    digits = [set.union(*(next(shown) for _ in part)) for part in chosen]
    for number, part in enumerate(images.partition):
        assert digits[number] <= set((part // CANVASES_PER_DIGIT).tolist())
        assert len(digits[number]) > len(chosen[number])  # the smaller digits are of the part, too
    assert {len(canvas) for canvas in seen.values()} == {1, 2, 3, 4}


def test_a_canvas_depends_on_its_number_and_not_on_the_others():
    images = find(task="keypoints")
    some = np.array([0, 7, 300, 7000])
    pixels, points = images.read_both(some)
    for place, number in enumerate(some):
        alone_pixels, alone_points = images.read_both(np.array([number]))
        assert torch.equal(alone_pixels[0], pixels[place])
        assert torch.equal(alone_points[0], points[place])


def test_a_limit_leaves_the_other_parts_and_the_canvases_that_stay_as_they_are(prepared):
    larger = prepare_images(
        ImageRequest(source="canvases", train_limit=200, test_fraction=0.03, validation_fraction=0.02), seed=0
    )
    small = prepared["classification"]
    assert torch.equal(larger.test.images, small.test.images)
    kept = {image.numpy().tobytes() for image in larger.train.images}
    assert sum(image.numpy().tobytes() in kept for image in small.train.images) > 0
    assert torch.bincount(small.train.labels).tolist() == [6] * 10


def test_the_class_is_that_of_the_digit_that_the_canvas_is_named_for():
    images = find()
    assert np.array_equal(images.labels, np.repeat(load_digits().target, CANVASES_PER_DIGIT))


def test_size_and_channels_are_chosen():
    pixels, masks = find(task="segmentation", image_size=48, channels=1).read_both(np.arange(3))
    assert pixels.shape == (3, 1, 48, 48)
    assert masks.shape == (3, 48, 48)
    with pytest.raises(ValueError, match="image_size is 20, but canvases need at least 24"):
        ImageRequest(source="canvases", image_size=20)


def test_canvases_that_do_not_fit_in_memory_are_refused(monkeypatch):
    monkeypatch.setattr("lottery_pipeline.images.memory.free_bytes", lambda: 10_000)
    with pytest.raises(ImageError, match="3 canvases of 32x32 pixels would take"):
        find().read(np.arange(3))


def test_the_digits_are_split_as_the_source_digits_would_be():
    request = ImageRequest()
    parts = partition_images(find_digits(request).load(5), request, seed=5)
    assert np.array_equal(np.unique(find(seed=5).partition.test // CANVASES_PER_DIGIT), parts.test)


# Drawing ----------------------------------------------------------------------------------------------------


def compose(ink: torch.Tensor, classes: list[int], *, count: int = 40, side: int = 32, seed: int = 0):
    """Canvases whose largest digit is 0 and whose others are drawn from all."""
    numbers, pool = np.arange(count), np.arange(len(classes))
    return compose_canvases(
        ink.numpy(),
        np.array(classes),
        numbers,
        np.zeros(count, dtype=np.int64),
        [pool] * count,
        side=side,
        seed=seed,
    )


def test_a_full_box_is_marked_to_its_corners_and_lies_on_top():
    ink = torch.full((2, 8, 8), 255, dtype=torch.uint8)
    composed = compose(ink, [3, 6])
    assert set(composed.masks.unique().tolist()) == {0, 4, 7, 255}
    for mask, points in zip(composed.masks, composed.points.tolist(), strict=True):
        *corners, (x, y, visible) = points
        assert visible == 1
        assert mask[y // 16, x // 16] == 4  # class 3 + 1, though others may lie below
        for corner_x, corner_y, inside in corners:
            assert inside == (0 <= corner_x < 512 and 0 <= corner_y < 512)
            # Well inside the corner there is the digit.
            near_x, near_y = (x + 0.6 * (corner_x - x)) / 16, (y + 0.6 * (corner_y - y)) / 16
            if 0 <= near_x < 32 and 0 <= near_y < 32:
                assert mask[int(near_y), int(near_x)] == 4


def test_corners_keep_their_order_around_the_centre():
    points = compose(torch.zeros(1, 8, 8, dtype=torch.uint8), [0]).points[..., :2].double()
    upper_left, upper_right, lower_right, lower_left, centre = points.unbind(1)
    for first, second in ((upper_left, lower_right), (upper_right, lower_left)):
        torch.testing.assert_close((first + second) / 2, centre, atol=1.0, rtol=0)
    right, down = upper_right - upper_left, lower_left - upper_left
    turn = right[:, 0] * down[:, 1] - right[:, 1] * down[:, 0]
    assert bool((turn > 0).all())
    assert bool((right[:, 0] > right[:, 1].abs()).all())
    sides = torch.linalg.vector_norm(right, dim=1) * torch.linalg.vector_norm(down, dim=1)
    low, high = (16 * 32 * bound for bound in canvas_drawing.LARGE_SIZES)
    assert bool(((sides.sqrt() > low - 4) & (sides.sqrt() < high + 4)).all())


def test_without_ink_there_is_only_ground():
    composed = compose(torch.zeros(1, 8, 8, dtype=torch.uint8), [5])
    assert not composed.masks.any()
    assert len(composed.pixels.unique()) > 50  # clutter, not one colour


def test_only_the_edges_of_digits_have_no_class():
    ink = torch.zeros(1, 8, 8, dtype=torch.uint8)
    ink[0, 2:6, 2:6] = 255
    masks = compose(ink, [0]).masks
    ignored = masks == 255
    beside_a_digit = torch.nn.functional.max_pool2d((masks == 1).float()[:, None], 5, 1, 2)[:, 0] == 1
    assert 0 < int(ignored.sum()) < int((masks == 1).sum())
    assert not (ignored & ~beside_a_digit).any()


def test_canvases_are_composed_in_chunks_of_any_size(monkeypatch):
    ink = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = compose(ink, [0, 1, 2])
    monkeypatch.setattr(canvas_drawing, "_CANVASES_PER_CHUNK", 7)
    parts = compose(ink, [0, 1, 2])
    assert all(torch.equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_digits_are_warped_as_torch_samples_a_grid():
    generator = np.random.default_rng(0)
    ink = generator.integers(0, 256, (3, 8, 8)) / 255
    digit, middles = np.array([2, 0, 1, 2]), generator.uniform(5, 20, (4, 2))
    axes = np.array([[[10, 2], [-3, 12]]]) + generator.uniform(-2, 2, (4, 2, 2))
    found = canvas_drawing._warp(np.pad(ink, ((0, 0), (1, 1), (1, 1))), digit, middles, axes, 24)

    places = torch.arange(24, dtype=torch.float64) + 0.5
    down, across = torch.meshgrid(places, places, indexing="ij")
    grid = torch.stack([across, down], dim=2).view(1, -1, 2) - torch.from_numpy(middles)[:, None]
    own = 2 * grid @ torch.linalg.inv(torch.from_numpy(axes))  # the box reaches from -1 to 1
    glyphs = torch.from_numpy(ink)[torch.from_numpy(digit), None]
    expected = torch.nn.functional.grid_sample(glyphs, own.view(4, 24, 24, 2), align_corners=False)
    np.testing.assert_allclose(found, expected[:, 0].numpy(), atol=1e-9)


def test_blots_are_enlarged_as_torch_enlarges():
    blots = np.random.default_rng(0).uniform(-1, 1, (2, 3, 6, 6))
    expected = torch.nn.functional.interpolate(torch.from_numpy(blots), size=(25, 25), mode="bilinear")
    np.testing.assert_allclose(canvas_drawing._enlarge(blots, 25), expected.numpy(), atol=1e-12)
