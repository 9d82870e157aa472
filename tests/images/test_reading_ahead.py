import threading

import pytest

from lottery_pipeline.images.reading_ahead import read_ahead


def test_results_come_in_order():
    assert list(read_ahead(lambda item: item**2, range(6))) == [0, 1, 4, 9, 16, 25]
    assert list(read_ahead(str, [])) == []


@pytest.mark.parametrize("count", [1, 3])
def test_so_many_results_wait_and_no_more(count):
    begun = []
    results = read_ahead(begun.append, range(20), count=count)
    for taken in range(1, 20 - count):
        next(results)
        assert len(begun) <= taken + count
    results.close()
    assert len(begun) < 20


def test_the_next_result_is_read_while_the_last_is_in_use():
    read = threading.Event()
    results = read_ahead(lambda item: item and read.set(), range(3))
    next(results)
    assert read.wait(timeout=60)
    results.close()


def test_an_error_comes_when_its_turn_does():
    results = read_ahead(lambda item: 1 // item, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_the_thread_ends_with_the_reading():
    results = read_ahead(str, range(9))
    next(results)
    assert any(thread.name.startswith("read ahead") for thread in threading.enumerate())
    del results
    assert not any(thread.name.startswith("read ahead") for thread in threading.enumerate())
