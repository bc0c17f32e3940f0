"""The register tile that numba-direct and numba-separable are built from, and raw memory; imports numba.

It is written in vector instructions (LLVM IR) rather than left to the loop vectoriser, which gives up on such loops
now and then, silently and at a tenth of the speed.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import contextlib
import platform
from collections.abc import Iterator
from typing import Any

import llvmlite.binding  # type: ignore[import-untyped]
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, register_jitable


def _features() -> set[str]:
    """What numba compiles for: this processor, unless NUMBA_CPU_NAME or NUMBA_CPU_FEATURES says otherwise."""
    if config.CPU_NAME is None and config.CPU_FEATURES is None:
        return {name for name, there in llvmlite.binding.get_host_cpu_features().items() if there}
    return {part[1:] for part in (config.CPU_FEATURES or "").split(",") if part.startswith("+")}


# Bytes in a vector register, and how many vectors a tile of 4 rows and one of 1 or 2 rows is wide: with the
# accumulators, a tile must fit in the registers (32, but 16 before AVX-512), and 2 multiply-adds of latency 4 must
# always be under way. Measured best of 2 to 16 vectors by 1 to 8 rows.
VECTOR, WIDE4, WIDE1 = 64, 4, 8
_ALIGNS = "avx512f" in _features()
if not _ALIGNS:
    VECTOR, WIDE4, WIDE1 = (32, 2, 4) if "avx2" in _features() else (16, 4, 8)
else:
    llvmlite.binding.initialize_native_asmparser()
CHUNK = 16
"""Kernel columns in a row that are written out one after another; more of them are a loop of chunks and a rest."""
_I64, _I32 = ir.IntType(64), ir.IntType(32)
_BYTE = ir.IntType(8).as_pointer()


@register_jitable
def part(rows: int, step: int, itemsize: int) -> int:
    """Kernel columns that a tile of so many rows takes from one set of neighbouring vectors; divides CHUNK."""
    return min(VECTOR // itemsize // step, 8 if rows == 1 else CHUNK)


@register_jitable
def reach(rows: int, k2: int, step: int, itemsize: int) -> int:
    """Samples of a row of input that a tile without bounds reads beyond as many as it has outputs across."""
    at_once = part(rows, step, itemsize)
    return (k2 - 1) // at_once * at_once * step + VECTOR // itemsize


@intrinsic(prefer_literal=True)
def tile(_context, shape, w, x, x_row, k1, k2, out, out_row, add, bounds):
    """out[r, c] (+)= sum over p < k1, q < k2 of w[p, q] * x[r + p, c + q * step], r < rows, c < width vectors.

    shape: literals rows, width, depth, looped, rest, step. rows <= k1 + 1; depth: k1, or 0 where that is known
    later; looped: 0 where k2 = rest, else k2 is some CHUNKs and the rest.
    w: real (k1 * k2,) or complex as pairs (k1 * k2, 2), for which a tile of several rows is half as wide. x, out:
    addresses; x_row, out_row: distance of two rows in samples. add: 0 overwrites out.
    bounds: () where all this, and `reach` samples of x more, is there; else first row, end of rows, first column, end
    of columns of x, as zeros are taken for the rest, and rows and columns of out, where the rest is left alone.
    """
    signature = types.void(shape, w, x, x_row, k1, k2, out, out_row, add, bounds)
    n_rows, width, n_depth, looped, n_rest, n_step = (kind.literal_value for kind in shape)
    planes = w.ndim
    n_vectors = width // (planes if n_rows > 1 else 1)
    bounded = len(bounds) > 0

    def codegen(context, b, signature, arguments):
        _, w_, x_, x_row_, k1_, k2_, out_, out_row_, add_, bounds_ = arguments
        scalar = context.get_data_type(w.dtype)
        size = w.dtype.bitwidth // 8
        lanes = VECTOR // size
        vector, index, mask = (ir.VectorType(kind, lanes) for kind in (scalar, _I64, ir.IntType(1)))
        zero, each = ir.Constant(vector, [0.0] * lanes), ir.Constant(index, list(range(lanes)))

        def external(result, name, *kinds):
            return cgutils.get_or_insert_function(b.module, ir.FunctionType(result, kinds), name)

        name = f"v{lanes}f{8 * size}"
        fma = external(vector, f"llvm.fmuladd.{name}", vector, vector, vector)
        masked_load = external(vector, f"llvm.masked.load.{name}.p0", vector.as_pointer(), _I32, mask, vector)
        masked_store = external(ir.VoidType(), f"llvm.masked.store.{name}.p0", vector, vector.as_pointer(), _I32, mask)
        prefetch = external(ir.VoidType(), "llvm.prefetch.p0", _BYTE, _I32, _I32, _I32)
        # An empty instruction: LLVM would keep the weights of the first rows from tile to tile, and spill the sums.
        opaque = ir.InlineAsm(ir.FunctionType(scalar.as_pointer(), [scalar.as_pointer()]), "", "=r,0", True)
        weights = b.call(opaque, [context.make_array(signature.args[1])(context, b, w_).data])
        x_ = b.inttoptr(x_, scalar.as_pointer())
        out_ = b.inttoptr(out_, scalar.as_pointer())
        k1_ = _I64(n_depth) if n_depth else k1_
        k2_ = k2_ if looped else _I64(n_rest)
        w_row = b.mul(k2_, _I64(planes))
        tile = [(r, v) for r in range(n_rows) for v in range(n_vectors)]
        sums = {(r, v, p): cgutils.alloca_once(b, vector) for r, v in tile for p in range(planes)}
        if bounded:
            first_row, end_row, first_column, end_column, rows, columns = cgutils.unpack_tuple(b, bounds_)
            beginning = b.block
            b.branch(started := b.append_basic_block("tile"))
            b.position_at_end(started)

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

        def joined(low, high, start):
            """A vector of samples from two neighbours, from the start-th of the first on."""
            if not _ALIGNS:
                return shuffled(low, range(start, start + lanes), high)
            # LLVM would take a two-source permutation, whose index vectors fill registers that the sums need.
            letter, kind = "d" if size == 4 else "q", ir.FunctionType(vector, [vector, vector])
            return b.call(ir.InlineAsm(kind, f"valign{letter} $${start}, $1, $2, $0", "=v,v,v"), [low, high])

        def everywhere(value, kind=vector):
            alone = b.insert_element(ir.Constant(kind, ir.Undefined), value, _I32(0))
            first = ir.Constant(ir.VectorType(_I32, lanes), [0] * lanes)
            return b.shuffle_vector(alone, ir.Constant(kind, ir.Undefined), first)

        def between(start, low, high):
            """Which of the indices from start on lie between low and high."""
            here = b.add(everywhere(start, index), each)
            above = b.icmp_signed(">=", here, everywhere(low, index))
            return b.and_(above, b.icmp_signed("<", here, everywhere(high, index)))

        masks = {}  # by the column that they are for, where that is known here: the same for all rows

        def mask_at(at):
            if not isinstance(at, ir.Constant):
                return between(at, first_column, end_column)
            if at.constant not in masks:
                with b.goto_block(beginning):  # before its branch
                    masks[at.constant] = between(at, first_column, end_column)
            return masks[at.constant]

        def columns_of(count, row, q, at_w):
            """Add `count` kernel columns from q on to the active rows; at_w: each active row's weights from there."""
            near = {}
            now = {key: b.load(sums[key]) for key in sums if key[0] in at_w}
            at = _I64(q.constant * n_step) if isinstance(q, ir.Constant) else b.mul(q, _I64(n_step))

            def load(offset):
                here = _I64(at.constant + offset) if isinstance(at, ir.Constant) else b.add(at, _I64(offset))
                pointer = vector_at(element(row, here))
                if not bounded:
                    return b.load(pointer, align=size)
                return b.call(masked_load, [pointer, _I32(size), mask_at(here), zero])

            def neighbour(v):
                if v not in near:
                    near[v] = load(v * lanes)
                return near[v]

            def samples(v, c):
                # Most vectors span two cache lines, and are loaded at half the rate: every other one is put together
                # from two neighbours instead, to share the work between the units. All of them where taps are few, or
                # where a load needs a mask.
                start = c * n_step
                if count == 1 or (start and (v + c) % 2 and count > 3 and not bounded):
                    return load(v * lanes + start)
                return joined(neighbour(v), neighbour(v + 1), start) if start else neighbour(v)

            for c in range(count):
                data = [samples(v, c) for v in range(n_vectors)]
                for r, base in at_w.items():
                    for p in range(planes):
                        weight = everywhere(b.load(element(base, c * planes + p)))
                        for v in range(n_vectors):
                            now[r, v, p] = b.call(fma, [data[v], weight, now[r, v, p]])
            for key, value in now.items():
                b.store(value, sums[key])

        def later(q, c):
            return _I64(q.constant + c) if isinstance(q, ir.Constant) else b.add(q, _I64(c))

        def written_out(count, row, q, at_w):
            """So many columns, in parts that need no more neighbours than one."""
            at_once = part(n_rows, n_step, size)
            for c in range(0, count, at_once):
                shifted = {r: element(base, c * planes) for r, base in at_w.items()}
                columns_of(min(at_once, count - c), row, later(q, c), shifted)

        def in_chunks(count, chunk, row, q, at_w):
            """So many times so many columns; returns where they end."""
            walks = [(q, _I64(chunk)), *((base, _I64(chunk * planes)) for base in at_w.values())]
            with _counted(b, count, walks) as (q_now, *w_now):
                written_out(chunk, row, q_now, dict(zip(at_w, w_now, strict=True)))
            done = b.mul(count, _I64(chunk))
            return b.add(q, done), {r: element(base, b.mul(done, _I64(planes))) for r, base in at_w.items()}

        def all_columns(row, at_w, chunk=CHUNK if not bounded else 8 if n_rows == 1 else 4):
            """Of one row of input. Short chunks, soon compiled, are for what is a small part of the work."""
            q = _I64(0)
            if looped:
                count = b.sdiv(k2_, _I64(chunk))
                q, at_w = in_chunks(count, chunk, row, q, at_w)
            if looped and chunk < CHUNK:
                in_chunks(b.sub(k2_, b.mul(count, _I64(chunk))), 1, row, q, at_w)
            else:
                written_out(n_rest, row, q, at_w)

        def few_rows(t, active):
            """Input row t meets kernel row t - r in output row r: add it to the rows that it reaches."""
            at_w = {r: element(weights, b.mul(b.sub(t, _I64(r)), w_row)) for r in active}
            row = element(x_, b.mul(t, x_row_))
            there = b.and_(b.icmp_signed(">=", t, first_row), b.icmp_signed("<", t, end_row)) if bounded else None
            with b.if_then(there) if bounded else contextlib.nullcontext():
                all_columns(row, at_w, *([1] if looped and len(active) < n_rows else []))

        if bounded:
            written = {
                (r, v): between(_I64(v * lanes), _I64(0), b.select(b.icmp_signed("<", _I64(r), rows), columns, _I64(0)))
                for r, v in tile
            }
        for total in sums.values():
            b.store(zero, total)
        with b.if_then(b.icmp_signed("!=", add_, _I64(0)), likely=False):
            for r, v in tile:
                if bounded:
                    before = b.call(masked_load, [output(r, v), _I32(size), written[r, v], zero])
                else:
                    before = b.load(output(r, v), align=size)
                b.store(before, sums[r, v, 0])

        # The first and the last rows of input reach only some rows of the tile: skip the others, as a weight of
        # zero would cost time and turn an infinity in the image into a NaN where there is none.
        for t in range(n_rows - 1):
            few_rows(_I64(t), range(t + 1))
        if n_depth:
            for t in range(n_rows - 1, n_depth):
                few_rows(_I64(t), range(n_rows))
        else:
            start, stop = _I64(n_rows - 1), k1_
            if bounded:
                start = b.select(b.icmp_signed(">", first_row, start), first_row, start)
                stop = b.select(b.icmp_signed("<", end_row, stop), end_row, stop)
            walks = [(element(x_, b.mul(start, x_row_)), x_row_)]
            walks += [(element(weights, b.mul(b.sub(start, _I64(r)), w_row)), w_row) for r in range(n_rows)]
            with _counted(b, b.sub(stop, start), walks) as (x_now, *w_now):
                all_columns(x_now, dict(enumerate(w_now)))
        for t in range(n_rows - 1):
            few_rows(b.add(k1_, _I64(t)), range(t + 1, n_rows))

        # Fetch what the tile below needs into the cache; without a branch, as LLVM would move sums behind it.
        for r in range(n_rows) if not bounded else ():
            below = element(x_, b.mul(b.add(k1_, _I64(n_rows - 1 + r)), x_row_))
            for v in range(n_vectors):
                b.call(prefetch, [b.bitcast(element(below, v * lanes), _BYTE), _I32(0), _I32(3), _I32(1)])

        swap = [lane ^ 1 for lane in range(lanes)]
        sign = ir.Constant(vector, [-1.0, 1.0] * (lanes // 2))
        for r, v in tile:
            result = b.load(sums[r, v, 0])
            if planes == 2:  # i (re, im) = (-im, re)
                result = b.call(fma, [shuffled(b.load(sums[r, v, 1]), swap), sign, result])
            if bounded:
                b.call(masked_store, [result, output(r, v), _I32(size), written[r, v]])
            else:
                b.store(result, output(r, v), align=size)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def copy(_context, target, source, count):
    """Copy count bytes between addresses."""

    def codegen(context, b, signature, arguments):
        cgutils.raw_memcpy(b, b.inttoptr(arguments[0], _BYTE), b.inttoptr(arguments[1], _BYTE), arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), codegen


@intrinsic
def clear(_context, target, count):
    """Set count bytes at an address to zero."""

    def codegen(context, b, signature, arguments):
        cgutils.memset(b, b.inttoptr(arguments[0], _BYTE), arguments[1], 0)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


HAS_CYCLES = platform.machine().lower() in ("x86_64", "amd64")
"""Whether a program may read the processor's time stamp."""


@intrinsic
def cycles(_context):
    """The processor's time stamp; 0 where it cannot be read."""

    def codegen(context, b, signature, arguments):
        if not HAS_CYCLES:
            return _I64(0)
        return b.call(cgutils.get_or_insert_function(b.module, ir.FunctionType(_I64, ()), "llvm.readcyclecounter"), ())

    return types.int64(), codegen


@contextlib.contextmanager
def _counted(b: Any, count: Any, walks: list[tuple[Any, Any]]) -> Iterator[list[Any]]:
    """A loop of count >= 0 rounds over pointers and integers that start and step so; LLVM does not unroll this form."""
    before, body, after = b.block, b.append_basic_block("taps"), b.append_basic_block("taps.done")
    b.cbranch(b.icmp_signed(">", count, _I64(0)), body, after)
    b.position_at_end(body)
    left = b.phi(_I64)
    positions = [b.phi(start.type) for start, _ in walks]
    yield positions
    fewer = b.sub(left, _I64(1))
    left.add_incoming(count, before)
    left.add_incoming(fewer, b.block)
    for position, (start, step) in zip(positions, walks, strict=True):
        position.add_incoming(start, before)
        pointer = isinstance(start.type, ir.PointerType)
        position.add_incoming(b.gep(position, [step]) if pointer else b.add(position, step), b.block)
    b.cbranch(b.icmp_signed(">", fewer, _I64(0)), body, after)
    b.position_at_end(after)
