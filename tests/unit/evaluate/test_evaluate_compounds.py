"""A compound is known by its structure, however its SMILES is spelt and whatever salt it is of."""

import numpy as np
import pytest

from bulkformer.errors import InputError
from bulkformer.evaluate.compounds import inchikey, inchikey14, morgan, scaffold, tanimoto

TOLUENE, SPELT_OTHERWISE = "Cc1ccccc1", "C1=CC=CC=C1C"
PROPANOL, ITS_SALT = "CCCO", "CCCO.Cl"


def test_a_fingerprint_does_not_depend_on_how_the_smiles_is_spelt():
    one, other = morgan([TOLUENE, SPELT_OTHERWISE], bits=512)
    assert one.dtype == np.float32
    assert set(np.unique(one)) == {0, 1}
    assert (one == other).all()


def test_a_wider_radius_sees_more_of_the_molecule():
    counts = [morgan([TOLUENE], radius=radius).sum() for radius in (0, 1, 2)]
    assert counts[0] < counts[1] < counts[2]


def test_a_compound_without_smiles_is_all_zeros():
    found = morgan([None, TOLUENE])
    assert found.shape == (2, 2048)
    assert found[0].sum() == 0 < found[1].sum()


def test_compounds_that_differ_by_what_hangs_on_their_rings_share_a_scaffold():
    assert scaffold(TOLUENE) == scaffold("Oc1ccccc1CC") == "c1ccccc1"
    assert scaffold("c1ccc2ccccc2c1") != scaffold(TOLUENE)
    assert scaffold(None) is None


def test_a_molecule_without_rings_is_a_family_of_its_own():
    assert scaffold(PROPANOL) == inchikey14(PROPANOL) == inchikey(PROPANOL)[:14]
    assert scaffold("CCCCO") != scaffold(PROPANOL)


def test_a_salt_is_the_same_compound_in_another_bottle():
    assert scaffold(ITS_SALT) == scaffold(PROPANOL)
    assert inchikey14(ITS_SALT) == inchikey14(PROPANOL)
    assert inchikey(ITS_SALT) != inchikey(PROPANOL)
    assert (morgan([ITS_SALT]) == morgan([PROPANOL])).all()


def test_mirror_images_share_a_skeleton_and_no_inchikey():
    left, right = "C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"
    assert inchikey(left) != inchikey(right)
    assert inchikey14(left) == inchikey14(right) == "QNAYBMKLOCPYGJ"  # alanine


@pytest.mark.parametrize("text", ["c1ccc", "not a molecule", ""])
@pytest.mark.parametrize("asked", [lambda text: morgan([text]), scaffold, inchikey, inchikey14])
def test_what_is_no_smiles_is_named(asked, text):
    with pytest.raises(InputError, match=f"'{text}' is no SMILES"):
        asked(text)


def test_similarity_is_the_share_of_bits_in_common():
    a = np.array([[1, 1, 0, 0], [0, 0, 0, 0]], dtype=np.float32)
    b = np.array([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=np.float32)
    assert tanimoto(a, b).tolist() == [[1 / 3, 1, 0], [0, 0, 0]]
