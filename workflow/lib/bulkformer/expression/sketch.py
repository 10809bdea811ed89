"""The sketch step: 2,048 bits a sample that agree where fingerprints do, and a hash of its values.

Each bit is the side of a random plane on which the fingerprint lies (Charikar 2002): two samples
disagree in a share arccos(correlation) / pi of the bits. So copies can be looked up among 500,000
samples (128 MB of bits) without comparing all pairs.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer import Option

from bulkformer.cli import command
from bulkformer.errors import InputError
from bulkformer.expression.background import Background
from bulkformer.expression.store import ExpressionStore
from bulkformer.files import sha256, write_table

BITS = 2_048
HASH_BYTES = 16
SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("bits", pa.binary(BITS // 8)),
        ("values_hash", pa.binary(HASH_BYTES)),
    ]
)


def sketch(
    store: Annotated[Path, Option(help="log_tpm.arrow of the cohort.")],
    background: Annotated[Path, Option(help="background.parquet of the corpus.")],
    seed: Annotated[int, Option()],
    output: Annotated[Path, Option(help="sketch.parquet to write.")],
) -> None:
    """Write the sketch of every sample of one cohort, a block at a time."""
    samples = ExpressionStore(store)
    common = Background.read(background)
    shift = common.shift(samples) if len(samples) else np.zeros(len(common.genes), np.float32)
    fingerprints = common.among(samples.measured, shift, store)
    planes = draw_planes(len(common.genes), seed)[fingerprints.known]
    packed, hashes = [], []
    for _, values in samples.blocks():
        packed.append(np.packbits(fingerprints.of(values) @ planes > 0, axis=1))
        # Adding zero turns -0.0 into 0.0, so that equal values have equal bytes.
        hashes += [
            blake2b((row + 0.0).tobytes(), digest_size=HASH_BYTES).digest()
            for row in values[:, samples.measured]
        ]
    rows = np.concatenate(packed) if packed else np.empty((0, BITS // 8), np.uint8)
    arrays = [
        pa.array(samples.sample_ids, pa.string()),
        pa.array([row.tobytes() for row in rows], SCHEMA.field("bits").type),
        pa.array(hashes, SCHEMA.field("values_hash").type),
    ]
    # Bits of another background or seed would agree by chance only.
    made_with = {"background_sha256": sha256(background), "seed": str(seed)}
    metadata = made_with | {"shift": b64encode(shift.astype("<f4").tobytes())}
    write_table(output, pa.table(arrays, schema=SCHEMA.with_metadata(metadata)))


def draw_planes(n_genes: int, seed: int) -> np.ndarray:
    """Return the normals float32 [n_genes, BITS] of random planes."""
    rng = np.random.default_rng([seed, *b"sketch"])
    return rng.standard_normal((n_genes, BITS), dtype=np.float32)


@dataclass(frozen=True)
class Sketches:
    """The sketches of one cohort.

    Attributes
    ----------
    sample_ids : in the order of the store
    bits : uint8 [n, BITS / 8]
    hashes : one a sample, equal where all measured values are
    shift : float32, of the cohort's mean from the background, as `Background.shift` gives it
    made_with : what bits of two cohorts must share to be comparable
    """

    path: Path
    sample_ids: list[str]
    bits: np.ndarray
    hashes: list[bytes]
    shift: np.ndarray
    made_with: tuple[bytes, bytes]

    @classmethod
    def read(cls, path: Path) -> Sketches:
        """Read sketch.parquet; raises InputError if it is not one."""
        try:
            table = pq.read_table(path)
            metadata = table.schema.metadata or {}
            made_with = (metadata[b"background_sha256"], metadata[b"seed"])
            shift = np.frombuffer(b64decode(metadata[b"shift"]), dtype="<f4")
            flat = np.frombuffer(b"".join(table["bits"].to_pylist()), dtype=np.uint8)
            hashes = table["values_hash"].to_pylist()
            sample_ids = table["sample_id"].to_pylist()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise InputError(f"{path}: not a readable sketch ({error!r}); make it again") from error
        bits = flat.reshape(-1, BITS // 8)
        return cls(path, sample_ids, bits, hashes, shift, made_with)

    def check_same_planes(self, other: Sketches) -> None:
        """Raise InputError if the two were made with another background or seed."""
        if self.made_with != other.made_with:
            raise InputError(
                f"{self.path} and {other.path}: made with different backgrounds or seeds; run the "
                "expression stage again"
            )


if __name__ == "__main__":
    command(sketch)
