"""The map of genes: one picture for the points, and text for the names of clusters."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from bulkformer.report.cells import is_missing
from bulkformer.report.svg import INK, inline_svg, styled_subplots

# Okabe and Ito's, then darker ones of the same kind; neighbours on the map seldom share one.
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#6A4C93", "#8A9A5B",
    "#B2182B", "#2A9D8F", "#B08968", "#4059AD",
)  # fmt: skip
UNNAMED = "#cfd6dc"
LETTERS = 26  # of a set's name on the map
DOTS_PER_INCH = 130  # of the points, which become a picture: 20,000 circles would be megabytes
WIDTH, HEIGHT = 11.5, 7.4  # inches


def map_figure(genes: pd.DataFrame, clusters: pd.DataFrame) -> Markup:
    """Draw every gene at its place; clusters with an enriched set are coloured and named.

    Parameters
    ----------
    genes : x, y, cluster
    clusters : cluster, x, y, set_id (null where no set is enriched), q
    """
    figure, axes = styled_subplots(1, WIDTH, HEIGHT)
    axis = axes[0]
    figure.set_dpi(DOTS_PER_INCH)
    named = clusters[~clusters["set_id"].map(is_missing)]
    colours = {
        number: PALETTE[place % len(PALETTE)] for place, number in enumerate(named["cluster"])
    }
    size = max(3.0, min(16.0, 24000 / max(1, len(genes))))
    axis.scatter(
        genes["x"], genes["y"], s=size, c=genes["cluster"].map(colours).fillna(UNNAMED),
        linewidths=0, alpha=0.85, rasterized=True,
    )  # fmt: skip
    placed: list[tuple[float, float, float]] = []
    wide, high = (genes[name].max() - genes[name].min() for name in ("x", "y"))
    for row in named.sort_values(["q", "cluster"]).to_dict("records"):
        name = short_name(row["set_id"])
        half = 0.0042 * len(name) * wide
        clear = all(
            abs(row["x"] - x) > half + other or abs(row["y"] - y) > 0.03 * high
            for x, y, other in placed
        )
        # A name that would lie on a more certain one gives way to the number of the cluster.
        text = f"{row['cluster']} {name}" if clear else str(row["cluster"])
        placed.append((row["x"], row["y"], half if clear else 0.01 * wide))
        axis.annotate(
            text, (row["x"], row["y"]), ha="center", va="center", fontsize=8, color=INK,
            bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.72,
                  "edgecolor": colours[row["cluster"]], "linewidth": 0.8},
        )  # fmt: skip
    axis.set_xticks([])
    axis.set_yticks([])
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    return inline_svg(
        figure, "figure-map",
        f"Map of {len(genes):,} genes; {len(named)} of {len(clusters)} clusters are coloured and "
        "named after the gene set that is most enriched in them",
    )  # fmt: skip


def short_name(name: str) -> str:
    """Return the name of a gene set as it fits on a map: HALLMARK_MYC_TARGETS_V1 -> myc targets v1.

    The first word names the collection, where all of it is in capitals as in MSigDB.
    """
    name = name.rpartition("/")[2]
    collection, _, rest = name.partition("_")
    text = (rest if rest and collection.isupper() else name).replace("_", " ").lower()
    return text if len(text) <= LETTERS else text[: LETTERS - 1].rstrip() + "…"
