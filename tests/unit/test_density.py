"""How likely a row is under a mixture, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from headrace.models.density import RIDGE, Mixture


def test_the_density_is_that_of_the_mixture_also_where_features_depend_on_each_other() -> None:
    rng = np.random.default_rng(1)
    weights, means = [0.3, 0.7, 0.0], rng.normal(size=(3, 4))
    root = rng.normal(size=(3, 4, 4))
    covariances = root @ root.transpose(0, 2, 1)
    covariances[1] = np.ones((4, 4))  # singular: four times the same feature
    rows = rng.normal(size=(50, 4)) * 3
    with np.errstate(divide="ignore"):
        expected = logsumexp(
            [
                np.log(weight) + multivariate_normal(mean, covariance + RIDGE * np.eye(4)).logpdf(rows)
                for weight, mean, covariance in zip(weights, means, covariances, strict=True)
            ],
            axis=0,
        )
    mixture = Mixture.of(weights, means, covariances)
    assert mixture.log_density(rows) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert mixture.peak == pytest.approx(mixture.log_density(means).max())


def test_what_lies_off_the_plane_of_dependent_features_is_unlikely() -> None:
    mixture = Mixture.of([1.0], [np.zeros(3)], [np.ones((3, 3))])  # three times the same feature
    on, off = mixture.log_density(np.array([[2.0, 2.0, 2.0], [2.0, -2.0, 2.0]]))
    assert off < on - 100
