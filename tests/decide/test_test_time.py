from __future__ import annotations

import math

import numpy as np
import pytest

from workzone.decide.test_time import (
    TestTimeConfig,
    combine_looks,
    confident_mean,
    look_weights,
    settled,
)
from workzone.decide.test_time_fit import fit_look_temperature
from workzone.errors import UsageError


def slow(probabilities: list[float], keep: int) -> float:
    """By the definition: entropies, the lowest ones, the mean of their log-odds."""
    entropies = [-p * math.log(p) - (1 - p) * math.log(1 - p) for p in probabilities]
    surest = sorted(range(len(probabilities)), key=lambda i: entropies[i])[:keep]
    odds = [math.log(probabilities[i] / (1 - probabilities[i])) for i in surest]
    return 1 / (1 + math.exp(-sum(odds) / keep))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.8, 1.0])
def test_the_surest_are_averaged_as_in_a_slow_reference(keep: float) -> None:
    random = np.random.default_rng(0)
    looks = random.uniform(0.01, 0.99, size=(40, 5))
    config = TestTimeConfig(copies=4, keep=keep)
    expected = [slow(list(row), config.kept) for row in looks]
    np.testing.assert_allclose(confident_mean(looks, config), expected, rtol=1e-12)


def test_how_many_are_kept() -> None:
    kept = [TestTimeConfig(copies=c, keep=k).kept for c, k in ((4, 0.5), (3, 0.5), (4, 0.01))]
    assert kept == [3, 2, 1]
    assert TestTimeConfig(copies=7, keep=1).kept == 8


def test_one_sure_look_outweighs_unsure_ones() -> None:
    config = TestTimeConfig(copies=4, keep=0.2)
    assert confident_mean([0.45, 0.4, 0.97, 0.48, 0.5], config) == pytest.approx(0.97)


def test_certain_predictions_stay_finite() -> None:
    mean = confident_mean([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]], TestTimeConfig(copies=2, keep=1))
    assert np.isfinite(mean).all()
    assert mean[0] > 0.999
    assert mean[1] < 0.001


def test_settings_that_cannot_be_are_all_named() -> None:
    with pytest.raises(UsageError, match=r"copies=0, allowed: 1 to 64; keep=1.5, allowed: above 0"):
        TestTimeConfig(copies=0, keep=1.5)
    with pytest.raises(UsageError, match="keep=nan, allowed"):
        TestTimeConfig(keep=math.nan)
    with pytest.raises(UsageError, match="choose='nearest' is not known"):
        TestTimeConfig(choose="nearest")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"temperature=0, allowed: above 0; margin=-1, allowed: 0"):
        TestTimeConfig(temperature=0, margin=-1)


def slow_familiar(
    probabilities: list[float], distances: list[float], keep: int, temperature: float
) -> float:
    """By the definition: the nearest, the image itself among them, softmax of their distances."""
    ranked = sorted(range(1, len(distances)), key=lambda i: distances[i])
    kept = [0, *ranked[: keep - 1]]
    weights = [math.exp(-distances[i] / temperature) for i in kept]
    given = zip(weights, kept, strict=True)
    return sum(weight * probabilities[i] for weight, i in given) / sum(weights)


@pytest.mark.parametrize("temperature", [0.05, 1.0, 30.0])
def test_the_familiar_are_averaged_as_in_a_slow_reference(temperature: float) -> None:
    random = np.random.default_rng(1)
    looks, distances = random.uniform(size=(30, 16)), random.normal(size=(30, 16))
    config = TestTimeConfig(copies=15, keep=0.8, choose="familiar", temperature=temperature)
    assert config.kept == 13
    expected = [
        slow_familiar(list(p), list(z), 13, temperature)
        for p, z in zip(looks, distances, strict=True)
    ]
    found = combine_looks(looks, config, distances=distances)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_the_image_itself_is_always_among_the_familiar() -> None:
    config = TestTimeConfig(copies=4, keep=0.4, choose="familiar")
    weights = look_weights([9.0, 0.0, 1.0, 2.0, 3.0], config)
    assert (weights > 0).tolist() == [True, True, False, False, False]
    assert weights.sum() == pytest.approx(1)
    far = look_weights([1e6, -1e6, 0.0, 0.0, 0.0], config)
    assert np.isfinite(far).all()
    alike = look_weights(np.zeros(5), config)
    np.testing.assert_allclose(alike[alike > 0], 0.5)


def test_distances_that_are_missing_or_no_numbers_are_errors() -> None:
    config = TestTimeConfig(copies=1, choose="familiar")
    with pytest.raises(UsageError, match="needs a distance of each look"):
        combine_looks([0.5, 0.5], config)
    with pytest.raises(UsageError, match="needs a distance of each look"):
        combine_looks([0.5, 0.5], config, distances=[0.0])
    for value in (math.nan, math.inf):
        with pytest.raises(UsageError, match="is not a finite number"):
            combine_looks([0.5, 0.5], config, distances=[0.0, value])


@pytest.mark.parametrize("choose", ["surest", "familiar"])
def test_the_first_looks_decide_where_they_agree_by_the_margin(choose: str) -> None:
    config = TestTimeConfig(copies=9, keep=1.0, choose=choose, margin=1.0)  # type: ignore[arg-type]
    sure, apart = [0.9] * 4 + [0.1] * 6, [0.9, 0.9, 0.9, 0.6] + [0.1] * 6
    looks, distances = np.array([sure, apart]), np.zeros((2, 10))
    assert settled(looks, config, 0.0).tolist() == [True, False]
    assert settled(looks, config, 1.5).tolist() == [False, False]  # too near that cut
    found = combine_looks(looks, config, distances=distances)
    assert found[0] == pytest.approx(0.9)
    assert found[1] < 0.5
    never = TestTimeConfig(copies=9, keep=1.0, choose=choose)  # type: ignore[arg-type]
    assert not settled(looks, never, 0.0).any()
    assert combine_looks(looks, never, distances=distances)[0] < 0.5


def test_the_temperature_tells_how_much_near_looks_are_to_be_trusted() -> None:
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], 150)
    distances = random.uniform(0, 4, size=(300, 8))
    noise = random.normal(size=(300, 8)) * (0.2 + 3 * distances)  # far looks know little
    looks = 1 / (1 + np.exp(-(np.where(labels, 1.0, -1.0)[:, None] + noise)))
    config = TestTimeConfig(copies=7, keep=1.0, choose="familiar")
    cold = fit_look_temperature(labels, looks, distances, config).temperature
    alike = 1 / (1 + np.exp(-(np.where(labels, 1.0, -1.0)[:, None] + random.normal(size=(300, 8)))))
    warm = fit_look_temperature(labels, alike, distances, config).temperature
    assert 2 * cold < warm


def test_names_of_looks() -> None:
    config = TestTimeConfig(copies=15)
    assert (config.by("all").keep, config.by("surest").keep) == (1.0, 0.5)
    assert (config.by("familiar").choose, config.by("familiar").kept) == ("familiar", 13)
    with pytest.raises(UsageError, match="'familar' are not known; did you mean 'familiar'"):
        config.by("familar")
