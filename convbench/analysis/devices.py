"""Processor or device? From which image size on a device is quicker, with its data there and with transfers.

Resident: execute alone, the data lie where they are used. With transfers: load + execute + store, the image comes from
host memory and the result goes back to it, as it does for the processor (whose load and store are views, mostly).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from convbench.analysis.schema import WHERE, measured

QUESTION = (*WHERE, "layout", "dtype", "mode", "kernel")
"""What is asked: cells that differ in backend, image size, device and threads only."""
KINDS = ("resident", "transfers")
HOST = "cpu"
COLUMNS = (*QUESTION, "device", "kind", "images", "smallest", "largest", "from_image", "below", "above", "leads")


def best_by_device(cells: pd.DataFrame, without: Collection[str] = ()) -> pd.DataFrame:
    """The quickest backend of every device at each size, once by each kind of time.

    Columns: those of QUESTION, image, kind, device, threads, family, backend, seconds. The processor competes with
    whatever number of threads is quickest. without: families to leave out.
    """
    rows = measured(cells)
    rows = rows[~rows["family"].isin(list(without))]
    moved = rows["load_s"] + rows["execute_s"] + rows["store_s"]
    kinds = [rows.assign(kind="resident", seconds=rows["execute_s"]), rows.assign(kind="transfers", seconds=moved)]
    both = pd.concat(kinds, ignore_index=True)
    both = both[np.isfinite(both["seconds"])].sort_values(["seconds", "backend"], kind="stable")
    best = both.drop_duplicates([*QUESTION, "image", "kind", "device"])
    columns = [*QUESTION, "image", "kind", "device", "threads", "family", "backend", "seconds"]
    return best[columns].sort_values(columns[:-1], kind="stable").reset_index(drop=True)


def overtakes(best: pd.DataFrame) -> pd.DataFrame:
    """From which image size on each device is quicker than the processor; best: from best_by_device.

    Columns: those of QUESTION, device, kind, images (how many sizes both were measured at), smallest, largest,
    from_image (where the times are equal, interpolated on log axes; NaN without a change of lead), below and above (the
    measured sizes on either side) and leads (who does at the largest size). A change of lead that is followed by
    another is not counted: only that after which the leader of the largest size stays.
    """
    same = [*QUESTION, "kind", "image"]
    host = best.loc[best["device"] == HOST, [*same, "seconds"]]
    both = best[best["device"] != HOST].merge(host, on=same, suffixes=("", "_host")).sort_values("image")
    found: list[dict[str, Any]] = []
    for key, pairs in both.groupby([*QUESTION, "device", "kind"], sort=True):
        images = pairs["image"].to_numpy(dtype=float)
        ahead = np.log(pairs["seconds_host"].to_numpy() / pairs["seconds"].to_numpy())
        found.append({
            **dict(zip((*QUESTION, "device", "kind"), key, strict=True)), "images": len(images),
            "smallest": int(images[0]), "largest": int(images[-1]), **_last_change(images, ahead),
            "leads": str(key[-2]) if ahead[-1] > 0 else HOST,
        })  # fmt: skip
    return pd.DataFrame(found, columns=list(COLUMNS))


def _last_change(images: np.ndarray[Any, Any], ahead: np.ndarray[Any, Any]) -> dict[str, float]:
    """Where the sign of the log ratio changes for the last time; NaN where it never does."""
    changes = np.flatnonzero((ahead[1:] > 0) != (ahead[:-1] > 0))
    if not len(changes):
        return {"from_image": math.nan, "below": math.nan, "above": math.nan}
    i = int(changes[-1])
    share = ahead[i] / (ahead[i] - ahead[i + 1])
    at = math.exp(math.log(images[i]) + share * (math.log(images[i + 1]) - math.log(images[i])))
    return {"from_image": at, "below": images[i], "above": images[i + 1]}
