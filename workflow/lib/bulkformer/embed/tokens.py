"""The file of gene tokens: Arrow IPC in half precision, one row a sample, mapped into memory.

Each record batch holds a few whole samples. Which genes the columns are, and for which of them the
model has no token, is said once in the schema metadata.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from bulkformer.errors import InputError
from bulkformer.files import atomic


class TokenStore:
    """Read access to one file of gene tokens.

    Attributes
    ----------
    sample_ids : in row order
    genes : gene ids [k], those without a token included
    known : bool [k], False for a gene without a token, whose vectors are zeros
    dimension : of a token
    """

    def __init__(self, path: Path) -> None:
        """Open `path`; raises InputError if it is no file of gene tokens."""
        self.path = Path(path)
        try:
            self._file = pa.ipc.open_file(pa.memory_map(str(path)))
            metadata = json.loads((self._file.schema.metadata or {})[b"tokens"])
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: no readable gene tokens ({error}); make them again") from (
                error
            )
        self.genes: list[str] = metadata["genes"]
        self.known = np.array(metadata["known"], dtype=bool)
        self.dimension: int = metadata["dimension"]
        self._parts = [
            self._file.get_batch(number)["sample_id"].to_pylist()
            for number in range(self._file.num_record_batches)
        ]
        self.sample_ids: list[str] = [name for part in self._parts for name in part]

    def blocks(self) -> Iterator[tuple[list[str], np.ndarray]]:
        """Yield sample ids and tokens float16 [n, k, d], a record batch at a time, not copied."""
        for number, names in enumerate(self._parts):
            yield names, self.block(number)

    def block(self, number: int) -> np.ndarray:
        """Return the tokens of one record batch, float16 [n, k, d]."""
        tokens = self._file.get_batch(number)["tokens"].flatten()
        return tokens.to_numpy().reshape(-1, len(self.genes), self.dimension)

    def samples_of_block(self, number: int) -> list[str]:
        """Return the samples of one record batch."""
        return self._parts[number]

    @property
    def n_blocks(self) -> int:
        return len(self._parts)


def create_tokens(
    path: Path,
    genes: Sequence[str],
    known: np.ndarray,
    blocks: Iterable[tuple[Sequence[str], np.ndarray]],
) -> int:
    """Write tokens as they come, and return their dimension.

    Parameters
    ----------
    genes, known : gene ids [k], and bool [k]
    blocks : sample ids and float16 [n, k, d]; at least one
    """
    writer = None
    with atomic(path) as partial:
        try:
            for sample_ids, tokens in blocks:
                if writer is None:
                    dimension = tokens.shape[2]
                    schema = _schema(genes, known, dimension)
                    writer = pa.ipc.new_file(str(partial), schema)
                flat = pa.array(np.ascontiguousarray(tokens, dtype=np.float16).ravel())
                rows = pa.FixedSizeListArray.from_arrays(flat, tokens.shape[1] * dimension)
                writer.write_batch(pa.record_batch([pa.array(sample_ids), rows], schema=schema))
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise ValueError("no block of tokens to write")
    return dimension


def _schema(genes: Sequence[str], known: np.ndarray, dimension: int) -> pa.Schema:
    content = {"genes": list(genes), "known": known.tolist(), "dimension": dimension}
    return pa.schema(
        [
            ("sample_id", pa.string()),
            ("tokens", pa.list_(pa.float16(), len(genes) * dimension)),
        ],
        metadata={"tokens": json.dumps(content)},
    )
