"""The columns of the tables, and what they mean."""

from tests.reporting.rendering import Page, render


def test_every_column_is_explained_where_it_stands_and_under_words():
    page = Page(render())
    headings = [attributes for tag, attributes in page.tags if tag == "th" and attributes["scope"] == "col"]
    unexplained = [attributes for attributes in headings if not attributes.get("title")]
    assert len(headings) > 30
    assert len(unexplained) == 1, "mean, a column of any table about the images"
    assert "Ticket ahead by Difference of the two, in percentage points." in page.text
    assert "QR code" not in page.text
