import numpy as np
import torch
from PIL import Image

from lottery_pipeline.images.decoding import decode_files
from lottery_pipeline.images.image_pieces import find_pieces
from lottery_pipeline.images.request import ImageRequest


def test_pieces_are_what_all_files_at_once_would_be(tmp_path):
    paths = []
    for number, mode in enumerate(["L", "L", "RGB", "L"]):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.new(mode, (4, 3), number if mode == "L" else (number, 9, 9)).save(paths[-1])
    request = ImageRequest(source="image_folder", root="x")
    pieces = find_pieces(paths, np.arange(4), request)
    assert pieces.shape == (3, 3, 4)
    found = [pieces.read(np.array(chosen)) for chosen in ([0, 1], [2], [3])]
    assert torch.equal(torch.cat(found), decode_files(paths, image_size=None, channels=None))
    assert find_pieces(paths, np.array([0, 1, 3]), request).shape == (1, 3, 4)
    assert find_pieces(paths, np.arange(4), request.model_copy(update={"image_size": 5})).shape == (3, 5, 5)
