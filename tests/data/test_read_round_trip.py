"""A table written as CSV, in whatever way people write it, reads back to the same values."""

import math
from datetime import date, timedelta

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfcast.data.lines import text_of
from shelfcast.data.read import read_sales
from shelfcast.errors import ShelfcastError

_STYLES = ("%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y%m%d", "%d %b %Y", "%d-%m-%y", "%Y/%m/%d", "%Y年%m月%d日")
_NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters='"\x7f'), min_size=1, max_size=12).map(
    str.strip).filter(lambda s: s and not s.replace(".", "").isdigit())


@st.composite
def written_tables(draw):
    """Rows, and how they are written."""
    start = date(2015, 1, 1) + timedelta(days=draw(st.integers(0, 3_000)))
    days = [start + timedelta(days=k) for k in range(31)]  # a whole month tells day from month
    names = draw(st.lists(_NAMES, min_size=1, max_size=4, unique=True))
    sales = draw(st.lists(st.integers(-10**7, 10**7), min_size=31, max_size=31))
    decimals = draw(st.integers(0, 2))
    comma = draw(st.booleans())
    return {
        "rows": [(names[k % len(names)], days[k], sales[k] / 10**decimals) for k in range(31)],
        "decimals": decimals, "comma": comma, "grouped": draw(st.booleans()) and decimals > 0,
        "delimiter": draw(st.sampled_from(";\t|" if comma else ",;\t|")), "style": draw(st.sampled_from(_STYLES)),
        "encoding": draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16", "utf-16-le"))),
        "end": draw(st.sampled_from(("\n", "\r\n"))),
    }


def _number(value, decimals, comma, grouped):
    text = f"{value:,.{decimals}f}" if grouped else f"{value:.{decimals}f}"
    return text.translate(str.maketrans(",.", ".,")) if comma else text


def _write(table, path):
    def quoted(text):
        return f'"{text}"' if table["delimiter"] in text or text != text.strip() else text

    lines = [table["delimiter"].join(("Item", "Date", "Sales"))]
    for item, day, sales in table["rows"]:
        number = _number(sales, table["decimals"], table["comma"], table["grouped"])
        lines.append(table["delimiter"].join(quoted(f) for f in (item, day.strftime(table["style"]), number)))
    path.write_bytes(table["end"].join([*lines, ""]).encode(table["encoding"]))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=written_tables())
def test_a_table_reads_back_however_it_was_written(table, tmp_path):
    path = tmp_path / "sales.csv"
    _write(table, path)
    read = read_sales(path).frame.collect()
    assert read["item"].to_list() == [r[0] for r in table["rows"]]
    assert read["date"].to_list() == [r[1] for r in table["rows"]]
    assert all(math.isclose(a, b[2], abs_tol=1e-9) for a, b in zip(read["sales"], table["rows"], strict=True))


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=20), min_size=1, max_size=30))
def test_whatever_a_cell_holds_its_text_stays_beside_it(texts):
    frame = pl.DataFrame({"date": ["2024-01-01"] * (len(texts) + 1), "sales": ["1", *texts]})
    read = read_sales(frame).frame.collect()
    lost = read.filter(pl.col("sales").is_null() & pl.col(text_of("sales")).is_not_null())
    assert read.height == len(texts) + 1 and set(lost[text_of("sales")]) <= set(texts)


_NEARLY = st.text(alphabet='ab1290,;"\'\n\r\t./-:+ é年', max_size=300).map(lambda t: ("item,date,sales\n" + t).encode())


@settings(max_examples=300, deadline=None)
@given(rubbish=st.binary(max_size=2_000) | _NEARLY)
def test_rubbish_is_refused_in_our_words(rubbish, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "rubbish.bin"
    path.write_bytes(rubbish)
    try:
        read_sales(path).frame.collect()
    except ShelfcastError as error:
        assert len(str(error)) < 2_000


def test_letters_whose_lower_byte_is_nought_do_not_hide_that_a_table_is_in_utf_16(tmp_path):
    for encoding in ("utf-16-le", "utf-16-be"):
        rows = [("ĀĀĀĀĀĀĀĀĀĀĀĀ", f"2024-01-{k:02d}", str(k)) for k in range(1, 29)]
        (tmp_path / "sales.csv").write_bytes("\n".join(["Item,Date,Sales", *map(",".join, rows), ""]).encode(encoding))
        assert read_sales(tmp_path / "sales.csv").frame.collect()["item"].unique().to_list() == ["ĀĀĀĀĀĀĀĀĀĀĀĀ"]
