from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from made_copies import copies, encoded, picture
from workzone.data.duplicates import KINDS, exact_duplicates, near_copies, near_pairs
from workzone.data.prints import PRINTS, fingerprint
from workzone.errors import UsageError


def looks_of(*images: bytes) -> np.ndarray:
    found = [fingerprint(image).looks for image in images]
    assert all(looks is not None for looks in found)
    return np.stack(found)  # type: ignore[arg-type]


def found_among(looks: np.ndarray, distance: int = 6) -> set[tuple[int, int, str]]:
    return {
        (min(a, b), max(a, b), KINDS[kind])
        for block in near_copies(looks, distance)
        for a, b, kind in zip(block.first.tolist(), block.second.tolist(), block.kinds, strict=True)
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_copy_is_found_and_named(kind: str) -> None:
    hits = 0
    for seed in range(10):
        one, other = picture(seed, (640, 480)), picture(seed + 100, (640, 480))
        looks = looks_of(encoded(one), copies(one)[kind], encoded(other))
        found = found_among(looks)
        assert {pair[:2] for pair in found} <= {(0, 1)}
        hits += (0, 1, kind) in found
    assert hits == 10


def test_other_pictures_are_no_copies() -> None:
    assert found_among(looks_of(*(encoded(picture(seed)) for seed in range(60)))) == set()


def test_exact_duplicates_ignore_rows_without_a_hash() -> None:
    assert exact_duplicates(["a", None, "b", "a", None, "c", "b", "a"]) == [[0, 3, 7], [2, 6]]


@pytest.mark.parametrize("bits", [0, 1, 4, 7])
def test_near_pairs_equal_all_against_all(bits: int) -> None:
    random = np.random.default_rng(bits)
    hashes = random.integers(0, 2**63, 150, dtype=np.uint64) * np.uint64(2)
    for copy in range(150, 400):  # chains of copies with a few flipped bits
        value = hashes[random.integers(0, copy)]
        for bit in random.integers(0, 64, random.integers(0, 9)):
            value ^= np.uint64(1) << np.uint64(bit)
        hashes = np.append(hashes, value)
    one, others = hashes[:220], hashes[180:]
    slow = [
        (i, j)
        for i in range(len(one))
        for j in range(len(others))
        if (int(one[i]) ^ int(others[j])).bit_count() <= bits
    ]
    found = [tuple(row) for block in near_pairs(one, others, bits) for row in block.tolist()]
    assert len(slow) > 5
    assert sorted(found) == slow


def test_a_crowded_bucket_is_searched_in_little_memory() -> None:
    hashes = np.full(6000, 7, dtype=np.uint64)
    tracemalloc.start()
    count = sum(len(block) for block in near_pairs(hashes, hashes, 0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 6000 * 6000
    assert peak < 200e6
    assert list(near_copies(np.empty((0, PRINTS, 5), dtype=np.uint64), 4)) == []


def test_a_distance_out_of_range_is_refused() -> None:
    hashes = np.zeros(2, dtype=np.uint64)
    with pytest.raises(UsageError, match="distance of 40 bits is out of range; give 0 to 15"):
        list(near_pairs(hashes, hashes, 40))
