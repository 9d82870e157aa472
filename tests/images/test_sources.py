import subprocess
import sys

import pytest

from lottery_pipeline.images.request import SOURCES, ImageError, ImageRequest
from lottery_pipeline.images.sources import FINDERS, check_request


def test_every_source_of_the_contract_has_a_finder():
    assert {source.partition(":")[0] for source in SOURCES} == set(FINDERS)


def test_digits_need_nothing():
    assert check_request(ImageRequest()) is None


@pytest.mark.parametrize("source", [source for source in SOURCES if source != "digits"])
def test_a_missing_root_is_one_clear_sentence_for_every_source(tmp_path, source):
    with pytest.raises(ImageError, match="missing") as caught:
        check_request(ImageRequest(source=source, root=str(tmp_path / "missing")))
    assert "\n" not in str(caught.value)


def test_checking_a_request_does_not_import_torch():
    code = (
        "import sys; from lottery_pipeline.images.sources import check_request; "
        "from lottery_pipeline.images.request import ImageRequest; check_request(ImageRequest()); "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
