"""Anything that holds a table opens; anything that does not is refused with its reason."""

import bz2
import gzip
import io
import lzma
import sqlite3
import sys
import zipfile
from datetime import date

import polars as pl
import pytest

from shelfcast.data.formats import spool
from shelfcast.data.formats.tables import open_table
from shelfcast.errors import DataError, SettingsError, SourceError

TABLE = pl.DataFrame({"item": ["a", "b", "c"], "date": [date(2024, 1, d) for d in (1, 2, 3)], "sales": [1, 2, 3]})


def _rows(source, **more):
    return open_table(source, **more).frame.collect()


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)])
def test_a_packed_file_is_unpacked_and_told(tmp_path, ending, pack):
    path = tmp_path / f"sales.csv{ending}"
    path.write_bytes(pack(TABLE.write_csv().encode()))
    table = open_table(path)
    assert table.frame.collect().rows()[0] == ("a", "2024-01-01", "1")
    assert table.told == (f"sales.csv{ending} was unpacked.",) and table.untyped and table.first_line == 2


def test_zstd_and_zip_are_unpacked(tmp_path):
    pa = pytest.importorskip("pyarrow")
    packed = pa.Codec("zstd").compress(TABLE.write_csv().encode(), asbytes=True)
    (tmp_path / "sales.csv.zst").write_bytes(packed)
    with zipfile.ZipFile(tmp_path / "sales.zip", "w") as archive:
        archive.writestr("folder/sales.csv", TABLE.write_csv())
    assert _rows(tmp_path / "sales.csv.zst").equals(_rows(tmp_path / "sales.zip"))


def test_a_bomb_is_refused_while_it_unpacks(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "_RATIO_FROM", 2**20)
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"\0" * 30_000_000))
    with pytest.raises(DataError, match="unpacks to more than 400 times its size"):
        open_table(tmp_path / "bomb.csv.gz")


def test_what_unpacks_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "MOST_UNPACKED", 1_000_000)
    (tmp_path / "long.csv.gz").write_bytes(gzip.compress(b"item,sales\n" + b"a,1\n" * 2_000_000))
    with pytest.raises(DataError, match="unpacks to more than"):
        open_table(tmp_path / "long.csv.gz")


@pytest.mark.parametrize("write", ["write_parquet", "write_ipc", "write_ndjson"])
def test_parquet_arrow_and_json_lines_open_by_their_content(tmp_path, write):
    path = tmp_path / "sales.dat"
    getattr(TABLE, write)(path)
    read = _rows(path)
    assert read["sales"].to_list() == [1, 2, 3] and read.columns == TABLE.columns


def test_excel_keeps_its_types(tmp_path):
    pytest.importorskip("fastexcel")
    TABLE.write_excel(tmp_path / "sales.xlsx")
    assert _rows(tmp_path / "sales.xlsx")["date"].to_list() == TABLE["date"].to_list()


@pytest.mark.parametrize("ending", [".parquet", ".xlsx", ".csv.gz", ".feather"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path, ending):
    path = tmp_path / f"sales{ending}"
    path.write_bytes(TABLE.write_csv().encode())
    with pytest.raises(SourceError, match="as its name says: it holds a text file"):
        open_table(path)


def test_a_glob_and_a_folder_join_files_of_one_kind(tmp_path):
    for name in ("b.csv", "a.csv"):
        TABLE.write_csv(tmp_path / name)
    assert open_table(str(tmp_path / "*.csv")).files == 2
    assert _rows(tmp_path).height == 6


def test_numbers_of_different_size_are_brought_together(tmp_path):
    TABLE.write_parquet(tmp_path / "a.parquet")
    TABLE.with_columns(pl.col("sales").cast(pl.Int16)).write_parquet(tmp_path / "b.parquet")
    assert _rows(tmp_path)["sales"].to_list() == [1, 2, 3, 1, 2, 3]


def test_files_of_different_columns_name_the_file_and_the_columns(tmp_path):
    TABLE.write_parquet(tmp_path / "a.parquet")
    TABLE.rename({"sales": "units"}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet lacks sales and has units, unlike a\.parquet"):
        open_table(str(tmp_path / "*.parquet"))


def test_hive_folders_hold_a_column(tmp_path):
    for store in (1, 2):
        (tmp_path / f"store={store}").mkdir()
        TABLE.write_parquet(tmp_path / f"store={store}" / "part.parquet")
    assert _rows(tmp_path)["store"].to_list() == [1, 1, 1, 2, 2, 2]


def test_a_circle_of_links_ends(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "again").symlink_to(tmp_path, target_is_directory=True)
    TABLE.write_csv(tmp_path / "deep" / "sales.csv")
    assert open_table(str(tmp_path / "**" / "*.csv")).files == 1


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    from shelfcast.data.formats import globs

    monkeypatch.setattr(globs, "MOST_FILES", 3)
    for k in range(5):
        TABLE.write_csv(tmp_path / f"{k}.csv")
    with pytest.raises(SourceError, match="means more than 3 files"):
        open_table(str(tmp_path / "*.csv"))


def test_standard_input_is_a_table_of_any_kind(monkeypatch):
    for content in (TABLE.write_csv().encode(), gzip.compress(TABLE.write_csv().encode())):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        assert _rows("-").height == 3


def test_a_database_is_queried_or_read_whole(tmp_path):
    pytest.importorskip("adbc_driver_sqlite")
    with sqlite3.connect(tmp_path / "shop.db") as base:
        base.execute("create table sales (item text, date text, units integer)")
        base.executemany("insert into sales values (?, ?, ?)", [("a", "2024-01-01", 3), ("b", "2024-01-02", 4)])
    base.close()
    address = f"sqlite:///{tmp_path}/shop.db"
    assert _rows(address, query="select item, units from sales where units > 3").rows() == [("b", 4)]
    assert _rows(address, query="sales").height == 2


def test_an_address_needs_a_query_and_a_file_has_none(tmp_path):
    with pytest.raises(SettingsError, match="needs a query"):
        open_table("postgresql://ann:secret@host/shop")
    TABLE.write_csv(tmp_path / "sales.csv")
    with pytest.raises(SettingsError, match="goes with a database address"):
        open_table(tmp_path / "sales.csv", query="select 1")


def test_no_message_holds_a_password():
    with pytest.raises(SettingsError) as caught:
        open_table("postgresql://ann:s3cr3t@host/shop")
    assert "s3cr3t" not in str(caught.value) and "ann:***@host" in str(caught.value)


def test_frames_of_other_libraries_open():
    pa, pd = pytest.importorskip("pyarrow"), pytest.importorskip("pandas")
    arrow = pa.table({"item": ["a"], "sales": [1]})
    for frame in (arrow, pd.DataFrame({"item": ["a"], "sales": [1]}), TABLE.lazy(), TABLE):
        assert open_table(frame).frame.collect().height >= 1
    with pytest.raises(SettingsError, match="a dict is none of these"):
        open_table({"item": ["a"]})


@pytest.mark.parametrize(("content", "message"), [
    (b"", "is empty: it has no bytes"),
    (b" \n\n", "holds blank lines only"),
    (b"item,date,sales\n", "and no rows"),
    (b"a,2024-01-01,3\nb,2024-01-02,4\n", "has no header"),
    (b"item,item,sales\na,b,1\n", "more than one column called 'item'"),
    (b"item,sales\na,1\nb,2,3\n", "Line 3 of sales.csv has 3 fields, its header has 2"),
    (b'item,sales\na,1\n"b,2\n', "in line 3 that is never closed"),
    (b"i" * 10_000 + b",sales\na,1\n", "has a name of 10,000 characters"),
    (b"item,sales\n" + b"a,1\n" * 3_000 + b"b\0,2\n", "holds a NUL byte at position 12,012"),
])
def test_each_damage_has_its_own_message(tmp_path, content, message):
    (tmp_path / "sales.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_table(tmp_path / "sales.csv")


def test_a_short_row_is_told_and_filled_with_nothing(tmp_path):
    (tmp_path / "sales.csv").write_text("item,date,sales\na,2024-01-01,1\nb\n")
    table = open_table(tmp_path / "sales.csv")
    assert "line 3 with 1 of 3" in table.told[0] and table.frame.collect().row(1) == ("b", None, None)


def test_inches_are_no_quotes(tmp_path):
    (tmp_path / "sales.csv").write_text('item,sales\n32" screen,1\ncable,2\n')
    assert _rows(tmp_path / "sales.csv")["item"].to_list() == ['32" screen', "cable"]


@pytest.mark.parametrize(("encoding", "name"), [("cp1252", "Café"), ("utf-16", "Café"), ("gb18030", "商品牛奶"),
                                                ("utf-8-sig", "Café")])
def test_encodings_are_found_out(tmp_path, encoding, name):
    (tmp_path / "sales.csv").write_bytes(f"item,sales\n{name},1\n{name},2\n".encode(encoding))
    table = open_table(tmp_path / "sales.csv")
    assert table.frame.collect()["item"].to_list() == [name, name]


def test_a_json_list_and_a_second_sheet(tmp_path):
    TABLE.write_json(tmp_path / "sales.json")
    assert _rows(tmp_path / "sales.json")["sales"].to_list() == [1, 2, 3]
    writer = pytest.importorskip("xlsxwriter")
    with writer.Workbook(str(tmp_path / "two.xlsx")) as book:
        TABLE.write_excel(book, worksheet="lines")
        TABLE.write_excel(book, worksheet="notes")
    assert open_table(tmp_path / "two.xlsx").told == ("two.xlsx has 2 sheets; the first, 'lines', is read.",)


def test_a_password_with_an_at_sign_is_not_told_in_pieces():
    pytest.importorskip("adbc_driver_postgresql")
    with pytest.raises(SourceError) as caught:
        open_table("postgresql://ann:qwx@zyv@no-such-host.invalid/shop", query="sales")
    assert "qwx" not in str(caught.value) and "zyv" not in str(caught.value)
