"""What the page is made from: a broken file is named, with what to do about it."""

import re

import pyarrow.parquet as pq
import pytest

from bulkformer.errors import InputError
from bulkformer.report.render import render


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("corpus", "[1]", "holds no JSON object"),
        ("training", "{", "not readable JSON"),
        ("metrics", "x", "not a readable table"),
        ("provenance", "{}", "no 'config'; run the rule provenance again"),
        ("literature", "a,b\n1,2\n", "no column task"),
    ],
)
def test_broken_input_is_named_with_its_remedy(arguments, name, content, message):
    arguments[name].write_text(content)
    with pytest.raises(InputError, match=re.escape(str(arguments[name]))) as error:
        render(**arguments)
    assert message in str(error.value)


def test_a_metrics_table_without_a_column_names_it(arguments):
    table = pq.read_table(arguments["metrics"]).drop_columns(["exposure"])
    pq.write_table(table, arguments["metrics"])
    with pytest.raises(InputError, match="no column exposure"):
        render(**arguments)
