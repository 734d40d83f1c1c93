"""Array blocks: what goes in comes out, within float16's own precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hormesis.db.blocks import (
    decode_float16,
    decode_float32,
    decode_int64,
    encode_float16,
    encode_float32,
    encode_int64,
)

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)
FINITE = st.floats(-(2.0**100), 2.0**100, allow_nan=False, width=32)


@given(arrays.arrays(np.float32, SHAPES, elements=FINITE))
def test_float16_error_is_bounded_by_the_largest_value(values: np.ndarray) -> None:
    data, scale = encode_float16(values)
    back = decode_float16(data, values.shape[1], scale)
    assert back.shape == values.shape
    assert len(data) == 2 * values.size
    exact, largest = values.astype(np.float64), float(np.abs(values).max())
    # Half a unit in the last place of a normal float16, or of the smallest subnormal at this scale.
    bound = np.maximum(np.abs(exact) * 2.0**-11, max(largest, 2.0**-4) * 2.0**-23)
    tiny = np.finfo(np.float32).tiny
    assert (np.abs(back - exact) <= bound * 1.001 + tiny).all()


def test_ordinary_values_are_plain_float16() -> None:
    values = np.array([[1.0, -2.5], [0.125, 1000.0]], dtype=np.float32)
    data, scale = encode_float16(values)
    assert scale == 1.0
    assert data == values.astype("<f2").tobytes()


@pytest.mark.parametrize("largest", [65504.0, 65520.0, 1e6, 3e38, 1e-5, 1e-30])
def test_no_value_overflows_or_vanishes(largest: float) -> None:
    data, scale = encode_float16([[largest, -largest / 3]])
    back = decode_float16(data, 2, scale)
    assert np.isfinite(back).all()
    assert back[0] == pytest.approx([largest, -largest / 3], rel=1e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        encode_float16([1.0, bad])


def test_partial_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="whole rows"):
        decode_float16(b"1234", 3)


@given(arrays.arrays(np.float32, st.integers(0, 40)))
def test_float32_is_exact(values: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_float32(encode_float32(values)), values)


@given(arrays.arrays(np.int64, st.integers(0, 40)))
def test_int64_is_exact(values: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_int64(encode_int64(values)), values)


def test_bytes_are_little_endian_whatever_the_array() -> None:
    assert encode_int64(np.array([1], dtype=">i8")) == b"\x01" + b"\x00" * 7
    assert encode_float32(np.array([1.0], dtype=">f4")) == b"\x00\x00\x80\x3f"
    with pytest.raises(TypeError):
        encode_int64([0.5])
