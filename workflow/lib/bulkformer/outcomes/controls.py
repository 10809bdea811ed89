"""Which controls a treated profile can be compared with.

Wells of one plate share its batch effect, so controls of the same plate are best; where a plate
has none, wells of the same cell line and time serve. A compound is compared with its solvent, a
construct with an empty vector, never one with the other.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

# Types of LINCS: compounds and ligands are dissolved, all other perturbagens are constructs.
SOLVENT = {"trt_cp", "trt_lig", "trt_aby"}
CONTROL_OF = {True: "ctl_vehicle", False: "ctl_vector"}


def control_level(profiles: pd.DataFrame) -> np.ndarray:
    """Return where each profile finds its controls: object [n_profiles].

    "plate", "cell_and_time" or "none" for treated profiles, None for controls. `profiles` has
    perturbagen_type, plate, cell_id, time_h and kind. A control on the same plate must be of the
    same cell line too, since some plates hold several.
    """
    control = (profiles["kind"] == "control").to_numpy()
    needed = np.array(
        [CONTROL_OF[kind in SOLVENT] for kind in profiles["perturbagen_type"]], dtype=object
    )
    own = profiles["perturbagen_type"].to_numpy()
    plates, times = profiles["plate"].to_numpy(), profiles["time_h"].fillna(-1).to_numpy()
    cells = profiles["cell_id"].to_numpy()
    on_plate = {(own[n], plates[n], cells[n]) for n in np.flatnonzero(control) if plates[n]}
    in_cell = {(own[n], cells[n], times[n]) for n in np.flatnonzero(control)}
    level = np.full(len(profiles), None, dtype=object)
    for n in np.flatnonzero(~control):
        if (needed[n], plates[n], cells[n]) in on_plate:
            level[n] = "plate"
        elif (needed[n], cells[n], times[n]) in in_cell:
            level[n] = "cell_and_time"
        else:
            level[n] = "none"
    return level
