import subprocess
import sys

import pytest

from lottery_pipeline.images.request import NEED_NO_FILES, SOURCES, ImageError, ImageRequest
from lottery_pipeline.images.sources import FINDERS, check_request


def test_every_source_of_the_contract_has_a_finder():
    assert all(source in FINDERS or source.partition(":")[0] in FINDERS for source in SOURCES)
    assert all(any(source.startswith(name) for source in SOURCES) for name in FINDERS)


@pytest.mark.parametrize("source", NEED_NO_FILES)
def test_some_sources_need_nothing(source):
    assert check_request(ImageRequest(source=source)) is None


@pytest.mark.parametrize("source", [source for source in SOURCES if source not in NEED_NO_FILES])
def test_a_missing_root_is_one_clear_sentence_for_every_source(tmp_path, source):
    root = str(tmp_path / "missing")
    request = ImageRequest(source=source, task=SOURCES[source][-1], image_size=8, root=root)
    with pytest.raises(ImageError, match="missing") as caught:
        check_request(request)
    assert "\n" not in str(caught.value)


def test_checking_a_request_does_not_import_torch():
    code = (
        "import sys; from lottery_pipeline.images.sources import check_request; "
        "from lottery_pipeline.images.request import ImageRequest; check_request(ImageRequest()); "
        "sys.exit('torch' in sys.modules or 'sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
