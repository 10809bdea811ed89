"""Compounds as numbers: fingerprints, scaffolds and keys, computed from SMILES by RDKit.

A salt is treated as its largest part, so that the same drug with another counter-ion has the same
fingerprint, scaffold and key. What is no SMILES stops the step and is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bulkformer.errors import InputError

if TYPE_CHECKING:
    from rdkit.Chem import Mol

SKELETON = 14  # first letters of an InChIKey: the connections, whatever stereochemistry and charge


def morgan(smiles: Sequence[str | None], bits: int = 2048, radius: int = 2) -> np.ndarray:
    """Return Morgan fingerprints, float32 [n, bits] of 0 and 1 (Rogers and Hahn 2010).

    A compound without SMILES is all zeros. Raises InputError for what is no SMILES.
    """
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    generator = GetMorganGenerator(radius=radius, fpSize=bits)
    found = np.zeros((len(smiles), bits), dtype=np.float32)
    for row, text in enumerate(smiles):
        if text is not None:
            found[row] = generator.GetFingerprintAsNumPy(_largest_part(_parse(text)))
    return found


def scaffold(smiles: str | None) -> str | None:
    """Return what must not be split between folds: the Bemis-Murcko scaffold, as SMILES.

    A molecule without rings has none and is a family of its own: its `inchikey14` stands in. None
    for None. Raises InputError for what is no SMILES.
    """
    if smiles is None:
        return None
    from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

    return MurckoScaffoldSmiles(mol=_largest_part(_parse(smiles))) or inchikey14(smiles)


def inchikey(smiles: str | None) -> str | None:
    """Return the whole InChIKey of the molecule as it is given, with its stereochemistry and salt.

    None for None. Raises InputError for what is no SMILES, or has no InChI.
    """
    return None if smiles is None else _key(_parse(smiles), smiles)


def inchikey14(smiles: str | None) -> str | None:
    """Return the first block of the InChIKey: salts and stereoisomers of a compound share it.

    None for None. Raises InputError for what is no SMILES, or has no InChI.
    """
    return None if smiles is None else _key(_largest_part(_parse(smiles)), smiles)[:SKELETON]


def tanimoto(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the similarity of fingerprints a [n, bits] and b [m, bits], float64 [n, m].

    Shared bits over the bits of either; 0 where both are empty, because nothing is known of them.
    """
    shared = a.astype(np.float64) @ b.astype(np.float64).T
    either = a.sum(axis=1, dtype=np.float64)[:, None] + b.sum(axis=1, dtype=np.float64) - shared
    return np.divide(shared, either, out=np.zeros_like(shared), where=either > 0)


def _parse(smiles: str) -> Mol:
    from rdkit import rdBase
    from rdkit.Chem import MolFromSmiles

    with rdBase.BlockLogs():  # our own message names the SMILES, on one line
        molecule = MolFromSmiles(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        raise InputError(
            f"'{smiles}' is no SMILES of a molecule; correct it, or leave it empty if unknown"
        )
    return molecule


def _largest_part(molecule: Mol) -> Mol:
    """Return the part with most heavy atoms; of equals the first by its SMILES."""
    from rdkit.Chem import GetMolFrags, MolToSmiles

    parts = GetMolFrags(molecule, asMols=True)
    if len(parts) == 1:
        return molecule
    return min(parts, key=lambda part: (-part.GetNumHeavyAtoms(), MolToSmiles(part)))


def _key(molecule: Mol, smiles: str) -> str:
    from rdkit import rdBase
    from rdkit.Chem import MolToInchiKey

    with rdBase.BlockLogs():
        key = MolToInchiKey(molecule)
    if not key:
        raise InputError(
            f"'{smiles}' has no InChI; correct the SMILES, or leave it empty if unknown"
        )
    return key
