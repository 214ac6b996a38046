"""A folder is recognised by its files' names and by the columns of its sales, and by nothing less."""

import gzip

import polars as pl
import pytest

from shelfcast.data.folders import BUNDLES, open_folder
from shelfcast.data.read import read_sales
from shelfcast.errors import DataError, SourceError

TRAIN = "Store,Dept,Date,Weekly_Sales,IsHoliday\n1,1,2012-10-12,100.5,FALSE\n1,1,2012-10-19,104,FALSE\n"
STORES = "Store,Type,Size\n1,A,151315\n"


def test_only_folders_of_known_files_are_bundles(tmp_path):
    pl.DataFrame({"date": ["2024-01-01"], "sales": [1]}).write_csv(tmp_path / "train.csv")
    (tmp_path / "stores.csv").write_text(STORES)
    assert open_folder(tmp_path) is None and open_folder(tmp_path / "train.csv") is None and open_folder("-") is None
    with pytest.raises(DataError, match="different columns"):
        read_sales(tmp_path)


def test_a_packed_copy_will_do_and_a_plain_one_is_preferred(tmp_path):
    with gzip.open(tmp_path / "train.csv.gz", "wt") as file:
        file.write(TRAIN)
    (tmp_path / "stores.csv").write_text(STORES)
    assert read_sales(tmp_path).frame.collect().height == 2
    (tmp_path / "train.csv").write_text(TRAIN + "1,1,2012-10-26,7,FALSE\n")
    assert read_sales(tmp_path).frame.collect().height == 3


def test_parquet_files_with_the_official_columns_will_do(tmp_path):
    for name, text in (("train", TRAIN), ("stores", STORES)):
        pl.read_csv(text.encode(), try_parse_dates=True).write_parquet(tmp_path / f"{name}.parquet")
    lines = read_sales(tmp_path)
    assert lines.dialect == "walmart" and lines.places.height == 1


def test_files_that_lie_one_folder_deeper_are_found(tmp_path):
    (tmp_path / "walmart").mkdir()
    (tmp_path / "walmart" / "train.csv").write_text(TRAIN)
    assert read_sales(tmp_path).dialect == "walmart"


def test_parts_of_one_table_are_no_official_folder(tmp_path):
    text = "Invoice,StockCode,Quantity,InvoiceDate,Price\n1,a,2,2024-03-01 10:00:00,2.5\n"
    for name in ("data.csv", "data_march.csv"):
        (tmp_path / name).write_text(text)
    lines = read_sales(tmp_path)
    assert lines.files == 2 and lines.frame.collect().height == 2


def test_a_packing_that_is_not_known_here_is_named(tmp_path):
    (tmp_path / "train.csv.7z").write_bytes(b"7z\xbc\xaf\x27\x1c")
    for name in ("holidays_events.csv", "oil.csv"):
        (tmp_path / name).write_text("date,dcoilwtico\n2017-01-02,3\n")
    with pytest.raises(SourceError, match=r"train\.csv\.7z is packed in a way that cannot be unpacked here"):
        read_sales(tmp_path)


def test_the_users_tables_come_before_the_folders(tmp_path):
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "stores.csv").write_text(STORES)
    lines = read_sales(tmp_path, static=pl.DataFrame({"Store": [1], "Type": ["mine"]}),
                       places=pl.DataFrame({"Store": [1], "lat": [36.0], "lon": [-94.0]}))
    assert lines.places.rows(named=True) == [{"location": 1, "latitude": 36.0, "longitude": -94.0, "Type": "mine", "Size": 151315}]


def test_each_declaration_holds_together():
    for bundle in BUNDLES:
        names = {f.name for f in bundle.files}
        assert bundle.sales in names and bundle.file(bundle.sales).needed, bundle.name
        assert all(set(p.of) <= names and set(p.needs or ()) <= set(p.of) and p.keys for p in bundle.pieces), bundle.name
        assert bundle.dialects and bundle.notes and bundle.example and bundle.origin
        assert not any(w in " ".join((bundle.origin, *bundle.notes)) for w in ("http", "www", ".com"))
