"""The paper's own numbers, as they are kept here."""
import json

from tools.paper import paper_tables


def test_the_papers_numbers_are_those_of_the_reference(shared):
    reference = json.loads((shared / "reference" / "tables.json").read_text())
    del reference["table1"]
    assert {table: paper_tables.paper(table) for table in reference} == reference
