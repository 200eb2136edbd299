"""Tensors and the Gpu that makes them."""

from __future__ import annotations

import numpy as np
import pytest

from metal.tensor import FLOAT32, Gpu, Tensor, require_dtype


@pytest.fixture(scope="module")
def gpu(device):
    return Gpu(device, width=64, poison=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint32, np.uint8, np.int64])
@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 4), ()], ids=str)
def test_an_array_comes_back_as_it_went(gpu, shape, dtype):
    array = (np.arange(int(np.prod(shape))) * 3 - 1).astype(dtype).reshape(shape)
    tensor = gpu.tensor(array)
    assert (tensor.shape, tensor.dtype, tensor.nbytes) == (shape, np.dtype(dtype), array.nbytes)
    assert (tensor.numpy() == array).all() and tensor.numpy().shape == shape


def test_an_array_that_is_not_contiguous_is_laid_out_row_by_row(gpu):
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (array.T, array[:, ::2], array[::-1], np.broadcast_to(array[0], (3, 6))):
        assert (gpu.tensor(view).numpy() == view).all()


def test_a_tensor_holds_a_copy(gpu):
    array = np.float32([1, 2])
    tensor = gpu.tensor(array)
    array[0] = 9
    assert tensor.numpy().tolist() == [1, 2]


def test_what_nobody_wrote_is_poison(gpu):
    """A kernel that writes nothing must not pass for one that does: NaN, or 0xCD in every byte."""
    assert np.isnan(gpu.empty((3, 5)).numpy()).all() and np.isnan(gpu.empty((7,), np.float16).numpy()).all()
    assert (gpu.empty((4,), np.uint32).numpy() == 0xCDCDCDCD).all()
    assert not Gpu(gpu.device).empty((4,)).numpy().any(), "only where it is asked for"


def test_reshaping_keeps_the_memory_and_the_number_of_elements(gpu):
    tensor = gpu.tensor(np.arange(12, dtype=np.float32))
    other = tensor.reshape(3, 4)
    other.numpy()[0, 0] = 99
    assert tensor.numpy()[0] == 99 and other.shape == (3, 4)
    with pytest.raises(ValueError, match=r"cannot reshape \(12,\) to \(5, 2\): 12 elements are not 10"):
        tensor.reshape(5, 2)


def test_misfits_are_named(gpu):
    with pytest.raises(ValueError, match="needs 40 bytes; the buffer is smaller"):
        Tensor(gpu.device.buffer(39), (10,), np.float32)
    with pytest.raises(ValueError, match=r"cannot put an empty array of shape \(0, 3\)"):
        gpu.tensor(np.empty((0, 3), np.float32))
    with pytest.raises(ValueError, match="op: b must be float32, got uint32"):
        require_dtype("op", FLOAT32, a=gpu.empty((1,)), b=gpu.empty((1,), np.uint32))


def test_small_constants_are_packed_once(gpu):
    first = gpu.constants("IIf", 1, 2, 0.5)
    assert gpu.constants("IIf", 1, 2, 0.5) is first and gpu.constants("IIf", 1, 3, 0.5) is not first
    assert np.frombuffer(first, np.uint32)[:2].tolist() == [1, 2] and np.frombuffer(first, np.float32)[2] == 0.5


def test_kernels_are_compiled_once_at_the_gpus_width(gpu):
    function = gpu.kernel("m2", "add")
    assert gpu.kernel("m2", "add") is function is gpu.kernel("m2", "add", "add")
    assert function._info.width == 64


def test_functions_of_a_file_share_its_program(gpu):
    """A program is a megabyte of memory on the portable device, whatever is in it."""
    maxima, sums = (gpu.kernel("m6", "sample_top", f"sample_top_{name}") for name in ("maxima", "sums"))
    assert maxima is not sums and maxima._kernel is sums._kernel
    assert gpu.kernel("m6", "sample_top", "sample_top_sums", width=64)._kernel is sums._kernel, "this Gpu's width counts"


def test_runs_are_kept_until_they_are_waited_for(gpu):
    x, y = gpu.tensor(np.ones(1000, np.float32)), gpu.empty((1000,))
    for _ in range(3):
        gpu.run(gpu.kernel("m2", "add"), 1000, x, x, y, gpu.constants("I", 1000))
    gpu.sync()
    assert (y.numpy() == 2).all()
