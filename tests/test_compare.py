"""The comparator's own spec: it must refuse what a suite of kernels would otherwise let through."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reference.compare import assert_close, assert_same

ONES = np.ones((2, 3), np.float32)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_never_compare_as_close(bad):
    """|reference − NaN| > t is false, which is how NaN passes elsewhere."""
    actual = ONES.copy()
    actual[1, 2] = bad
    with pytest.raises(AssertionError, match=r"1 of 6 elements are NaN or ∞ \(16.7%\), the first at \[1, 2\]"):
        assert_close(actual, ONES, 1e9)


def test_the_worst_element_is_named_with_what_was_allowed():
    actual = ONES + np.float32([[0, 0.5, 0], [0, 0, 0.25]])
    with pytest.raises(AssertionError, match=r"2 of 6 .*\n  worst at \[0, 1\]: got 1.5, expected 1.0, error 0.5, allowed 0.1"):
        assert_close(actual, ONES, 0.1)


def test_an_error_up_to_the_bound_is_allowed_and_not_beyond():
    assert_close(ONES + np.float32(0.25), ONES, 0.25)
    with pytest.raises(AssertionError, match="6 of 6"):
        assert_close(ONES + np.float32(0.25), ONES, 0.2499)


def test_bounds_may_differ_by_element():
    allowed = np.array([[0, 0, 0], [0, 0, 1.0]])
    actual = ONES.copy()
    actual[1, 2] = 2
    assert_close(actual, ONES, allowed)
    actual[0, 0] = 1.0000001
    with pytest.raises(AssertionError, match=r"worst at \[0, 0\]"):
        assert_close(actual, ONES, allowed)


@pytest.mark.parametrize("compare", [lambda a, b: assert_close(a, b, 1.0), assert_same])
def test_a_wrong_shape_or_dtype_is_refused_first(compare):
    with pytest.raises(AssertionError, match=r"wrong shape: got \(3, 2\), expected \(2, 3\)"):
        compare(ONES.reshape(3, 2), ONES)
    with pytest.raises(AssertionError, match="wrong dtype"):
        compare(ONES.astype(np.int32), ONES)


def test_expected_values_must_be_finite():
    with pytest.raises(AssertionError, match="expected values hold NaN"):
        assert_close(ONES, ONES * np.float32(np.nan), 1.0)


def test_same_means_every_bit():
    assert_same(np.float32([np.nan, -0.0]), np.float32([np.nan, -0.0]))
    with pytest.raises(AssertionError, match=r"1 of 2 elements differ .* at \[1\]"):
        assert_same(np.float32([1, 0.0]), np.float32([1, -0.0]))


def test_torch_tensors_are_understood():
    assert_close(torch.ones(2, 3), torch.ones(2, 3, requires_grad=True), 0.0)
