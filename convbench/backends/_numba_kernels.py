"""The compiled loops of numba-direct and numba-separable; imported by their make_plan only, as it imports numba.

Everything rests on `_tile`: the correlation sums of a few rows by a few vectors of outputs, held in registers while all
taps go by. Every vector of input that is loaded serves all rows of the tile, so that loads do not hold up the
multiply-adds. It is written in vector instructions (LLVM IR) rather than left to the loop vectoriser, which gives up
on such loops now and then, silently and at a tenth of the speed. Kernel sizes are run-time values: one compilation
serves all of them. Complex data are rows of (re, im) pairs: a real kernel just steps by 2, a complex one sums
A = Σ re(w) x and B = Σ im(w) x side by side, and A + iB at the end.
"""

# The compiled functions have no annotations, since numba itself finds their types when they are called.
# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from convbench.problem import Array

_FEATURES = llvmlite.binding.get_host_cpu_features()
# Bytes in a vector register, and how many vectors a tile of 4 rows and one of 1 or 2 rows is wide: with the
# accumulators, a tile must fit in the registers (32, but 16 before AVX-512), and 2 multiply-adds of latency 4 must
# always be under way. Measured best of 2 to 16 vectors by 1 to 8 rows.
_VECTOR, _WIDE4, _WIDE1 = 64, 4, 8
if not _FEATURES.get("avx512f"):
    _VECTOR, _WIDE4, _WIDE1 = (32, 2, 4) if _FEATURES.get("avx2") else (16, 4, 8)
_I64, _I32 = ir.IntType(64), ir.IntType(32)


@intrinsic(prefer_literal=True)
def _tile(_context, rows, width, w, x, x_row, k1, k2, step, out, out_row, add):
    """out[r, c] (+)= sum over p < k1, q < k2 of w[q, p] * x[r + p, c + q * step], r < rows, c < width vectors.

    rows, width: literals; rows <= k1 + 1. w: real (k2 * k1,) or complex as pairs (k2 * k1, 2), for which a tile of
    several rows is half as wide. x, out: addresses; x_row, out_row: distance of two rows in elements. add: 0
    overwrites out. Of x, up to a vector more than this in each row is read.
    """
    signature = types.void(rows, width, w, x, x_row, k1, k2, step, out, out_row, add)
    planes = w.ndim
    n_rows = rows.literal_value
    n_vectors = width.literal_value // (planes if n_rows > 1 else 1)

    def codegen(context, b, signature, arguments):
        _, _, w_, x_, x_row_, k1_, k2_, step_, out_, out_row_, add_ = arguments
        scalar = context.get_data_type(w.dtype)
        size = w.dtype.bitwidth // 8
        lanes = _VECTOR // size
        vector = ir.VectorType(scalar, lanes)
        fma = cgutils.get_or_insert_function(
            b.module, ir.FunctionType(vector, [vector] * 3), f"llvm.fmuladd.v{lanes}f{8 * size}"
        )
        weights = context.make_array(signature.args[2])(context, b, w_).data
        x_ = b.inttoptr(x_, scalar.as_pointer())
        out_ = b.inttoptr(out_, scalar.as_pointer())
        tile = [(r, v) for r in range(n_rows) for v in range(n_vectors)]
        sums = {(r, v, p): cgutils.alloca_once(b, vector) for r, v in tile for p in range(planes)}

        def element(base, *offsets):
            for offset in offsets:
                base = b.gep(base, [offset if isinstance(offset, ir.Value) else _I64(offset)])
            return base

        def vector_at(pointer):
            return b.bitcast(pointer, vector.as_pointer())

        def output(r, v):
            return vector_at(element(out_, b.mul(out_row_, _I64(r)), v * lanes))

        def shuffled(value, order, other=None):
            return b.shuffle_vector(value, other or value, ir.Constant(ir.VectorType(_I32, lanes), list(order)))

        def broadcast(value):
            return shuffled(b.insert_element(ir.Constant(vector, ir.Undefined), value, _I32(0)), [0] * lanes)

        def multiply_add(data, at_w, active):
            """One tap: weights for the active rows, counted back from at_w, times a vector of data per column."""
            for r in active:
                for p in range(planes):
                    weight = broadcast(b.load(element(weights, at_w, p - r * planes)))
                    for v in range(n_vectors):
                        total = sums[r, v, p]
                        b.store(b.call(fma, [data[v], weight, b.load(total)]), total)

        def vectors(at_x, count=n_vectors):
            return [b.load(vector_at(element(x_, at_x, v * lanes)), align=size) for v in range(count)]

        def eight_taps(at_x, at_w, w_step):
            """For a single row, where each vector loaded serves one multiply-add only, and most span two cache lines:
            half of them are put together from two neighbours instead, to share the work between the units."""
            aligned = vectors(at_x, n_vectors + 1)
            for q in range(8):
                data = vectors(b.add(at_x, _I64(q))) if q else aligned
                for v in range(q % 2, n_vectors, 2) if 0 < q < lanes else ():
                    data[v] = shuffled(aligned[v], range(q, q + lanes), aligned[v + 1])
                multiply_add(data, b.add(at_w, b.mul(w_step, _I64(q))), [0])

        def taps(t, active):
            """Input row t meets kernel row t - r in output row r: add it to the rows that it reaches."""
            at_x, at_w = b.mul(t, x_row_), b.mul(t, _I64(planes))
            w_step = b.mul(k1_, _I64(planes))
            count = k2_
            if n_rows == 1 and planes == 1:
                eights = b.select(b.icmp_signed("==", step_, _I64(1)), b.ashr(k2_, _I64(3)), _I64(0))
                done = b.shl(eights, _I64(3))
                with _counted(b, eights, [(at_x, _I64(8)), (at_w, b.shl(w_step, _I64(3)))]) as (x8, w8):
                    eight_taps(x8, w8, w_step)
                at_x, at_w, count = b.add(at_x, done), b.add(at_w, b.mul(w_step, done)), b.sub(k2_, done)
            with _counted(b, count, [(at_x, step_), (at_w, w_step)]) as (x1, w1):
                multiply_add(vectors(x1), w1, active)

        zero = ir.Constant(vector, [0.0] * lanes)
        for total in sums.values():
            b.store(zero, total)
        with b.if_then(b.icmp_signed("!=", add_, _I64(0)), likely=False):
            for r, v in tile:
                b.store(b.load(output(r, v), align=size), sums[r, v, 0])

        # The first and the last rows of input reach only some rows of the tile: skip the others, as a weight of
        # zero would cost time and turn an infinity in the image into a NaN where there is none.
        for t in range(n_rows - 1):
            taps(_I64(t), range(t + 1))
        with cgutils.for_range(b, k1_, start=_I64(n_rows - 1)) as loop:
            taps(loop.index, range(n_rows))
        for t in range(n_rows - 1):
            taps(b.add(k1_, _I64(t)), range(t + 1, n_rows))

        swap = [lane ^ 1 for lane in range(lanes)]
        sign = ir.Constant(vector, [-1.0, 1.0] * (lanes // 2))
        for r, v in tile:
            result = b.load(sums[r, v, 0])
            if planes == 2:  # i (re, im) = (-im, re)
                result = b.call(fma, [shuffled(b.load(sums[r, v, 1]), swap), sign, result])
            b.store(result, output(r, v), align=size)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _copy(_context, target, source, count):
    """Copy count bytes between addresses."""

    def codegen(context, b, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        cgutils.raw_memcpy(b, b.inttoptr(arguments[0], byte), b.inttoptr(arguments[1], byte), arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@intrinsic
def _clear(_context, target, count):
    """Set count bytes at an address to zero."""

    def codegen(context, b, signature, arguments):
        cgutils.memset(b, b.inttoptr(arguments[0], ir.IntType(8).as_pointer()), arguments[1], 0)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


@contextlib.contextmanager
def _counted(b: Any, count: Any, walks: list[tuple[Any, Any]]) -> Iterator[list[Any]]:
    """A loop of count >= 0 rounds over the given (start, step) positions; LLVM does not unroll this form."""
    before, body, after = b.block, b.append_basic_block("taps"), b.append_basic_block("taps.done")
    b.cbranch(b.icmp_signed(">", count, _I64(0)), body, after)
    b.position_at_end(body)
    left = b.phi(_I64)
    positions = [b.phi(_I64) for _ in walks]
    yield positions
    fewer = b.sub(left, _I64(1))
    left.add_incoming(count, before)
    left.add_incoming(fewer, b.block)
    for position, (start, step) in zip(positions, walks, strict=True):
        position.add_incoming(start, before)
        position.add_incoming(b.add(position, step), b.block)
    b.cbranch(b.icmp_signed(">", fewer, _I64(0)), body, after)
    b.position_at_end(after)


@njit(nogil=True, cache=True)
def _tiles(w, k1, k2, step, x, x_row, rows, columns, out, top, left, add, spare):
    """out[top:, left:] (+)= correlation of the padded x with w, rows by columns of it, tile by tile.

    x: address of a buffer that may be read to the next full tile beyond rows and columns. spare: what _spare returns,
    for tiles that reach beyond the output.
    """
    size = w.itemsize
    out_row = out.shape[1]
    # The more rows share a vector of input the better, but where kernel rows are few, few can; and a single row is left
    # to eight_taps.
    tall = 1 if rows == 1 or (k1 == 1 and k2 >= 16) else min(k1 + 1, 4) // 2 * 2
    wide = (_WIDE1 if tall == 1 else (_WIDE4 if tall == 4 else _WIDE1) // w.ndim) * (_VECTOR // size)
    out_data, spare_data = np.intp(out.ctypes.data) + (top * out_row + left) * size, np.intp(spare.ctypes.data)
    # Down the columns first: the strip of input that a column of tiles needs stays in the first-level cache.
    for j in range(0, columns, wide):
        for i in range(0, rows, tall):
            whole = i + tall <= rows and j + wide <= columns
            source = x + (i * x_row + j) * size
            target = out_data + (i * out_row + j) * size if whole else spare_data
            target_row = out_row if whole else spare.shape[1]
            adding = add if whole else 0
            if tall == 4:
                _tile(4, _WIDE4, w, source, x_row, k1, k2, step, target, target_row, adding)
            elif tall == 2:
                _tile(2, _WIDE1, w, source, x_row, k1, k2, step, target, target_row, adding)
            else:
                _tile(1, _WIDE1, w, source, x_row, k1, k2, step, target, target_row, adding)
            if not whole:
                for r in range(min(tall, rows - i)):
                    for c in range(min(wide, columns - j)):
                        before = out[top + i + r, left + j + c] if add else 0
                        out[top + i + r, left + j + c] = spare[r, c] + before


@njit(nogil=True, cache=True)
def _spare(dtype):
    return np.empty((4, max(_WIDE1, _WIDE4) * _VECTOR // 4), dtype)


@njit(nogil=True, cache=True)
def _fill(buffer, rows, image, top, left):
    """buffer[:rows] = image[top:, left:], zero outside the image."""
    size = image.itemsize
    length = buffer.shape[1]
    start = min(max(-left, 0), length)
    stop = max(min(image.shape[1] - left, length), start)
    for i in range(rows):
        target = np.intp(buffer.ctypes.data) + i * length * size
        if 0 <= top + i < image.shape[0]:
            source = np.intp(image.ctypes.data) + ((top + i) * image.shape[1] + left + start) * size
            _clear(target, start * size)
            _copy(target + start * size, source, (stop - start) * size)
            _clear(target + stop * size, (length - stop) * size)
        else:
            _clear(target, length * size)


@njit(nogil=True, cache=True)
def _row_length(columns, k2, step, size):
    """Elements in a row of a buffer: room for whole tiles and for a vector beyond, in an odd number of cache lines.

    Rows a multiple of 4096 bytes apart would compete for the same few places in the first-level cache.
    """
    line = 64 // size
    widest = _WIDE1 * (_VECTOR // size)
    lines = ((columns + widest - 1) // widest * widest + k2 * step + 2 * line - 1) // line
    return (lines + 1 - lines % 2) * line


@njit(nogil=True, cache=True)
def direct(image, w, k1, k2, step, pad, out, block, first, last):
    """Blocks first to last of out, counted row by row: copy the block's input to a zero-padded buffer, then sum.

    The buffer stays in the second-level cache, and makes borders, tails and kernels beyond the image all alike.
    image, out: 2-D, real (complex as pairs along the row). pad: zeros before (rows, columns). block: its shape.
    """
    across = (out.shape[1] + block[1] - 1) // block[1]
    buffer = np.empty((block[0] + 3 + k1 - 1, _row_length(block[1], k2, step, image.itemsize)), image.dtype)
    data, length, zero, spare = np.intp(buffer.ctypes.data), buffer.shape[1], np.intp(0), _spare(image.dtype)
    for b in range(first, last):
        top, left = b // across * block[0], b % across * block[1]
        rows, columns = min(block[0], out.shape[0] - top), min(block[1], out.shape[1] - left)
        _fill(buffer, (rows + 3) // 4 * 4 + k1 - 1, image, top - pad[0], left - pad[1])
        _tiles(w, k1, k2, step, data, length, rows, columns, out, top, left, zero, spare)


@njit(nogil=True, cache=True)
def separable(image, column, row, step, pad, out, add, block, first, last):
    """Blocks first to last of out, counted column by column, one separable pass; arguments as for `direct`.

    Rows of input are padded and summed two at a time (first-level cache) into `between` (second-level cache), whose
    last k1 - 1 rows the next block down needs again.
    """
    k1, k2 = len(column), len(row)
    zero, one, two = np.intp(0), np.intp(1), np.intp(2)  # a bare literal would be compiled once more, by its value
    down = (out.shape[0] + block[0] - 1) // block[0]
    size = image.itemsize
    widest = _WIDE1 * (_VECTOR // size)
    length = _row_length(block[1], one, one, size)
    padded = np.empty((2, _row_length(block[1], k2, step, size)), image.dtype)
    between = np.empty((block[0] + 3 + k1 - 1, length), image.dtype)
    spare = _spare(image.dtype)
    data, pad_length = np.intp(padded.ctypes.data), padded.shape[1]
    start, pitch = np.intp(between.ctypes.data), length * size
    for b in range(first, last):
        top, left = b % down * block[0], b // down * block[1]
        rows, columns = min(block[0], out.shape[0] - top), min(block[1], out.shape[1] - left)
        whole = (columns + widest - 1) // widest * widest
        have = k1 - 1 if b > first and top > 0 else 0
        for i in range(have):
            _copy(start + i * pitch, start + (block[0] + i) * pitch, pitch)
        for i in range(have, rows + k1 - 1, 2):
            row_of_image = top - pad[0] + i
            if -1 <= row_of_image < image.shape[0]:
                _fill(padded, two, image, row_of_image, left - pad[1])
                _tiles(row, one, k2, step, data, pad_length, two, whole, between, i, zero, zero, spare)
            else:
                _clear(start + i * pitch, 2 * pitch)
        _tiles(column, k1, one, step, start, length, rows, columns, out, top, left, add, spare)


def weights(taps: Array) -> Array:
    """The kernel as `_tile` reads it: flipped, column by column; complex as (re, im) pairs."""
    flipped = np.ascontiguousarray(np.atleast_2d(taps)[::-1, ::-1].T).ravel()
    return flipped.view(flipped.real.dtype).reshape(-1, 2) if np.iscomplexobj(flipped) else flipped


def real_rows(image: Array) -> Array:
    """A 2-D real view (complex as pairs along the row), marked read-only so that all images have one numba type."""
    rows = np.ascontiguousarray(np.atleast_2d(image)).view(image.real.dtype)
    rows.flags.writeable = False
    return rows


def blocking(out: Array, k1: int, threads: int) -> tuple[tuple[int, int], int]:
    """(rows, columns) of a block of out, a real 2-D array, and how many blocks there are: some for every thread.

    A block's input should fit half of a second-level cache of 1 MiB, and be many times what it shares with the next.
    """
    rows, columns = out.shape
    if rows == 1:
        width = _share(columns, 4096, threads, 64)
        return (1, width), -(-columns // width)
    width = columns if columns <= 1536 else 1024
    height = _share(rows, max(64, k1), threads, 4)
    return (height, width), -(-rows // height) * -(-columns // width)


def useful_threads(threads: int, products: int) -> int:
    """One where the sums take less than about 40 us: handing work to a second thread takes 25 us."""
    return threads if products >= 4_000_000 else 1


def _share(length: int, most: int, parts: int, unit: int) -> int:
    """length cut into a multiple of `parts` pieces, of about `most` or less, in whole units."""
    pieces = -(-length // (most * parts)) * parts
    return -(-length // (pieces * unit)) * unit


def run(loops: Callable[..., None], arguments: tuple[Any, ...], blocks: int, threads: int) -> None:
    """loops(*arguments, first, last) over all blocks, in as many threads; the loops hold no GIL."""
    threads = min(threads, blocks)
    if threads <= 1:
        loops(*arguments, 0, blocks)
        return
    ends = [blocks * t // threads for t in range(threads + 1)]
    others = [_pool(threads).submit(loops, *arguments, *ends[t : t + 2]) for t in range(1, threads)]
    loops(*arguments, *ends[:2])
    for other in others:
        other.result()


_pools: dict[int, ThreadPoolExecutor] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # threads do not survive a fork


def _pool(threads: int) -> ThreadPoolExecutor:
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads - 1, thread_name_prefix="convbench-numba")
    return _pools[threads]
