"""What Apache DataSketches in C++ needs for the same items, through its Python package (pip install datasketches==5.2.0 numpy).

KLL and t-digest take arrays, so that their figures are those of C++. The others take one item a call: the first row says what a call
of Python costs by itself, and nobody gets the rest without it.
"""
import sys
import time

try:
    import datasketches as ds
    import numpy as np
except ImportError as error:
    sys.exit(f"the rows of DataSketches in C++ are left out: {error} (pip install datasketches==5.2.0 numpy)")

BATCH = 8192
WORD = sys.argv[1] if len(sys.argv) > 1 else ""


def row(name, new, items, count, size=None):
    """The best of three runs, as the rows of Fleuve are."""
    if WORD not in name:
        return
    best, sketch = float("inf"), None
    for _ in range(3):
        sketch = new()
        update = sketch.update
        start = time.perf_counter()
        for item in items:
            update(item)
        best = min(best, time.perf_counter() - start)
    nanos = best / count * 1e9
    bytes_ = f"{size(sketch):>10} bytes stored" if size else ""
    print(f"{'  C++ ' + name:<44} {nanos:>10.2f} ns {1000 / nanos:>10.1f} M/s {bytes_}")


class Nothing:
    """A call and no work."""

    update = staticmethod(float)


random = np.random.default_rng(1)
numbers = random.integers(-(1 << 63), (1 << 63) - 1, 4 << 20, dtype=np.int64)
some = [int(number) for number in numbers[: 1 << 20]]
skewed = [min(int((1 - unit) ** -2), 1 << 40) for unit in random.random(1 << 20)]
floats = numbers.astype(np.float64)
batches = [floats[start : start + BATCH] for start in range(0, len(floats), BATCH)]

row("a call of Python that does nothing", Nothing, some, len(some))
for precision in [12, 14]:
    row(f"HLL precision {precision}", lambda: ds.hll_sketch(precision, ds.HLL_8), some, len(some),
        lambda sketch: len(sketch.serialize_compact()))
row("Theta 4096", lambda: ds.update_theta_sketch(12), some, len(some), lambda sketch: len(sketch.compact().serialize()))
row("count-min 5 × 272", lambda: ds.count_min_sketch(5, 272), skewed, len(skewed), lambda sketch: len(sketch.serialize()))
row("frequent items, 1536", lambda: ds.frequent_items_sketch(11), skewed, len(skewed))
row("KLL 200", lambda: ds.kll_doubles_sketch(200), batches, len(floats), lambda sketch: len(sketch.serialize()))
row("t-digest 100", lambda: ds.tdigest_double(100), batches, len(floats), lambda sketch: len(sketch.serialize()))
