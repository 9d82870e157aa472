import pytest

from lottery_pipeline.options.extras import check_extra


def test_a_package_that_is_there_passes_and_one_that_is_not_is_named_with_its_extra():
    check_extra("json", "any")
    with pytest.raises(
        ValueError, match=r'this needs the extra "onnx": pip install "lottery_pipeline\[onnx\]"'
    ):
        check_extra("no_such_package", "onnx")
