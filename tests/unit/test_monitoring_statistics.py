"""Distances and tests between histograms, against SciPy, brute force and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency

from headrace.monitoring import statistics as s

counts = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=30)
full = st.lists(st.tuples(st.integers(10, 500), st.integers(10, 500)), min_size=2, max_size=30)


def _two(pairs):
    return [b for b, _ in pairs], [c for _, c in pairs]


@given(full)
def test_psi_of_full_bins_is_close_to_the_textbook_sum(pairs):
    b, c = _two(pairs)
    expected = 0.0
    for x, y in pairs:
        p, q = (x + 0.5) / (sum(b) + 0.5 * len(b)), (y + 0.5) / (sum(c) + 0.5 * len(c))
        expected += (q - p) * math.log(q / p)
    assert s.psi(b, c) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(counts)
def test_psi_is_finite_symmetric_and_zero_for_equal_shares(pairs):
    b, c = _two(pairs)
    assert 0 <= s.psi(b, c) < math.inf
    assert s.psi(b, c) == pytest.approx(s.psi(c, b), abs=1e-12)
    assert s.psi(b, b) == pytest.approx(0, abs=1e-12)


@given(counts)
def test_bins_empty_on_both_sides_and_the_order_of_bins_change_nothing(pairs):
    b, c = _two(pairs)
    for measure in (s.psi, s.psi_bias, s.js):
        assert measure(b, c) == pytest.approx(measure([0, *reversed(b), 0], [0, *reversed(c), 0]), abs=1e-9)


def test_a_new_category_is_seen_and_a_rare_one_absent_from_a_small_sample_is_not():
    rare = [100_000, *[20] * 40], [200, *[0] * 40]
    new = [100_000, 0], [180, 20]
    assert s.unbiased_psi(*rare) < 0.02
    assert s.unbiased_psi(*new) > 0.5


@given(counts)
def test_js_is_that_of_scipy(pairs):
    b, c = _two(pairs)
    expected = jensenshannon(b, c, base=2) if sum(b) and sum(c) else 0.0
    # both take a root of a difference of nearly equal sums: compare before the root
    assert s.js(b, c) ** 2 == pytest.approx(0.0 if math.isnan(expected) else expected**2, abs=1e-12)


def test_js_is_one_for_nothing_in_common():
    assert s.js([5, 0], [0, 9]) == pytest.approx(1.0)


@given(full)
def test_chi2_of_full_bins_is_that_of_scipy(pairs):
    b, c = _two([(x + 200, y + 200) for x, y in pairs])
    expected = chi2_contingency([b, c], correction=False)
    result = s.chi2(b, c)
    assert (result.statistic, result.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_chi2_pools_the_smallest_bins_until_each_expects_five_rows():
    result = s.chi2([1000, 3, 1, 2000, 0, 800], [100, 1, 0, 200, 3, 80])
    expected = chi2_contingency([[804, 1000, 2000], [84, 100, 200]], correction=False)
    assert (result.statistic, result.p_value) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize(("b", "c"), [([0, 0], [1, 2]), ([3, 4], [0, 0]), ([9, 0], [7, 0]), ([1, 2], [2, 1])])
def test_with_nothing_to_test_there_is_no_verdict(b, c):
    assert s.chi2(b, c) == s.TestResult(0.0, 1.0)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_benjamini_hochberg_by_its_definition(p):
    m = len(p)
    rank = {i: r for r, i in enumerate(sorted(range(m), key=lambda i: p[i]), start=1)}
    expected = [min(1.0, min(p[j] * m / rank[j] for j in range(m) if rank[j] >= rank[i])) for i in range(m)]
    assert s.benjamini_hochberg(p) == pytest.approx(expected)


@given(st.lists(st.floats(allow_nan=False, width=32), min_size=1, max_size=19))
def test_edges_ascend_and_never_outnumber_the_quantiles(quantiles):
    found = s.edges(sorted(quantiles))
    assert list(found) == sorted(set(found))
    assert set(found) >= {float(q) for q in quantiles}
    assert len(found) <= len(quantiles)


def test_a_constant_gets_a_bin_of_its_own():
    edges = s.edges([7.0] * 19)
    assert list(np.searchsorted(edges, [6.999999, 7.0, 7.000001], side="left")) == [0, 1, 2]


@pytest.mark.parametrize(("b", "c"), [([1], [1, 2]), ([-1, 2], [1, 2]), ([[1]], [[1]])])
def test_what_is_no_pair_of_histograms_is_refused(b, c):
    with pytest.raises(ValueError, match="histogram"):
        s.psi(b, c)


ZIPF = 1 / np.arange(1, 53) ** 1.5
SHAPES = {"quantiles": np.full(20, 0.05), "zipf": ZIPF / ZIPF.sum(), "few": np.array([0.9, 0.09, 0.01])}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("n", "m"), [(2_000, 200), (2_000, 2_000), (100_000, 200), (100_000, 2_000)])
def test_without_drift_the_bias_is_accounted_for_and_no_effect_reaches_the_bound(shape, n, m):
    rng = np.random.default_rng(1)
    pairs = [(rng.multinomial(n, SHAPES[shape]), rng.multinomial(m, SHAPES[shape])) for _ in range(500)]
    plain = np.mean([s.psi(*pair) for pair in pairs])
    bias = np.mean([s.psi_bias(*pair) for pair in pairs])
    assert bias == pytest.approx(plain, rel=0.25)
    assert max(s.unbiased_psi(*pair) for pair in pairs) < 0.2
    assert np.mean([s.chi2(*pair).p_value < 0.01 for pair in pairs]) < 0.035


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1_000))
def test_a_shift_by_most_of_a_standard_deviation_is_found_in_two_hundred_rows(seed):
    rng = np.random.default_rng(seed)
    edges = s.edges(list(np.quantile(rng.normal(size=5_000), np.arange(0.05, 1, 0.05))))
    cut = [np.bincount(np.searchsorted(edges, rng.normal(mean, 1, size)), minlength=20) for mean, size in
           ((0, 5_000), (0.8, 200))]  # fmt: skip
    assert s.unbiased_psi(*cut) > 0.2
    assert s.chi2(*cut).p_value < 1e-4
