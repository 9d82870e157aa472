import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lottery_pipeline.ownership.errors import OwnershipError
from lottery_pipeline.ownership.merkle import check_path, merkle_path, merkle_root

# The test vectors of Certificate Transparency: the leaves, and the root of the first 1 to 8 of them.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", bytes(range(96, 112)).hex())
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def sha(prefix: int, content: bytes) -> bytes:
    return hashlib.sha256(bytes([prefix]) + content).digest()


def root_naively(leaves: list[bytes]) -> bytes:
    """Level by level: neighbours are joined, one left over moves up as it is."""
    level = [sha(0, leaf) for leaf in leaves]
    while len(level) > 1:
        pairs = [level[start : start + 2] for start in range(0, len(level), 2)]
        level = [sha(1, b"".join(pair)) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


@pytest.mark.parametrize("count", range(1, 9))
def test_roots_are_those_of_certificate_transparency(count):
    assert merkle_root(LEAVES[:count]).hex() == ROOTS[count - 1]


@given(st.lists(st.binary(max_size=4), min_size=1, max_size=40))
def test_the_root_is_that_of_a_tree_built_level_by_level(leaves):
    assert merkle_root(leaves) == root_naively(leaves)


def test_a_path_by_hand():
    hashes = [sha(0, leaf) for leaf in LEAVES[:3]]

    assert merkle_path(LEAVES[:3], 0) == [hashes[1], hashes[2]]
    assert merkle_path(LEAVES[:3], 2) == [sha(1, hashes[0] + hashes[1])]
    assert merkle_path(LEAVES[:1], 0) == []


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 8, 13])
def test_the_path_of_every_leaf_leads_to_the_root_and_only_from_its_own_place(count):
    leaves = [bytes([number]) for number in range(count)]
    root = merkle_root(leaves)

    for index, leaf in enumerate(leaves):
        path = merkle_path(leaves, index)
        assert check_path(root, leaf, index, count, path)
        assert not check_path(root, leaf + b"x", index, count, path)
        assert not any(check_path(root, leaf, place, count, path) for place in range(count) if place != index)


@given(st.data())
def test_a_changed_path_leads_nowhere(data):
    index = data.draw(st.integers(0, 6))
    path = merkle_path(LEAVES[:7], index)
    root = merkle_root(LEAVES[:7])
    place = data.draw(st.integers(0, len(path) - 1))
    change = data.draw(st.sampled_from(["flip", "drop", "double", "shorten", "swap"]))
    changed = list(path)
    if change == "flip":
        changed[place] = bytes([path[place][0] ^ 1]) + path[place][1:]
    elif change == "drop":
        del changed[place]
    elif change == "double":
        changed.insert(place, path[place])
    elif change == "shorten":
        changed[place] = path[place][:-1]
    else:
        changed = [*changed[1:], changed[0]]

    assert check_path(root, LEAVES[index], index, 7, changed) == (changed == path)


def test_an_inner_node_is_not_a_leaf():
    hashes = [sha(0, leaf) for leaf in LEAVES[:4]]
    inside = hashes[0] + hashes[1]

    assert not check_path(merkle_root(LEAVES[:4]), inside, 0, 2, [sha(1, hashes[2] + hashes[3])])


@pytest.mark.parametrize(
    ("index", "count", "path"),
    [
        (-1, 7, []),
        (7, 7, []),
        (0, 0, []),
        (0, 2**200, [bytes(32)] * 100_000),
        (0, 2, ["x" * 32]),
        (0, 2, [7]),
    ],
)
def test_impossible_places_and_paths_are_refused(index, count, path):
    assert check_path(merkle_root(LEAVES[:7]), LEAVES[0], index, count, path) is False


def test_a_tree_without_leaves_and_a_leaf_that_is_not_there_are_errors():
    with pytest.raises(OwnershipError, match="at least one leaf"):
        merkle_root([])
    with pytest.raises(OwnershipError, match="a Merkle tree of 3 leaves has no leaf 3"):
        merkle_path(LEAVES[:3], 3)
