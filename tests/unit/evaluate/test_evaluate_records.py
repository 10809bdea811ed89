"""Rows are chosen by what a dictionary column says, null among it."""

import pyarrow as pa
import pytest

from bulkformer.evaluate.records import equals


@pytest.fixture
def table():
    head = pa.array(["ridge", None, "forest", "ridge"]).dictionary_encode()
    return pa.table({"head": head})


def test_rows_of_a_value_are_those_that_have_it(table):
    assert equals(table, "head", "ridge").tolist() == [True, False, False, True]
    assert equals(table, "head", None).tolist() == [False, True, False, False]


def test_a_column_in_pieces_is_one_column(table):
    pieces = pa.concat_tables([table, table.slice(2)]).unify_dictionaries()
    assert equals(pieces, "head", "forest").tolist() == [False, False, True, False, True, False]


def test_a_value_that_never_occurs_is_an_error_and_not_an_empty_choice(table):
    with pytest.raises(ValueError, match="crystal_ball"):
        equals(table, "head", "crystal_ball")
