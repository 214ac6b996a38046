"""Files, folders, globs and streams that cannot be opened, or are not what they say."""

import bz2
import gzip
import io
import lzma
import os
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from broken.builders import (
    forecast,
    gzip_bomb,
    gzip_onion,
    parquet_that_lies,
    sales_csv,
    sound,
    text,
    zip_bomb,
)
from broken.corpus import Case, Corpus

corpus = Corpus()


# -- nothing in it ----------------------------------------------------------------------------------------------------


@corpus.add(1, r"sales\.csv is empty: it has no bytes")
def an_empty_file(folder: Path) -> list[str]:
    return forecast(text(folder, b""))


@corpus.add(1, r"blanks\.csv is empty: it holds blank lines only")
def only_blanks(folder: Path) -> list[str]:
    return forecast(text(folder, b"   \n\n \t \r\n" * 50, "blanks.csv"))


@corpus.add(1, r"has columns \(item, location, date, sales\) and no rows")
def a_header_and_nothing_below(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, sound().clear()))


@corpus.add(1, r"none\.parquet has columns .* and no rows")
def a_parquet_file_without_rows(folder: Path) -> list[str]:
    sound().clear().write_parquet(folder / "none.parquet")
    return forecast(folder / "none.parquet")


@corpus.add(1, r"The first sheet of blank\.xlsx is empty")
def an_excel_sheet_without_cells(folder: Path) -> list[str]:
    import xlsxwriter

    with xlsxwriter.Workbook(str(folder / "blank.xlsx")) as book:
        book.add_worksheet()
    return forecast(folder / "blank.xlsx")


# -- not what its name says -------------------------------------------------------------------------------------------


@corpus.add(2, r"rubbish\.csv is not a text file, as its name says: it holds no format that is known")
def binary_rubbish_called_csv(folder: Path) -> list[str]:
    return forecast(text(folder, bytes(range(256)) * 200, "rubbish.csv"))


@corpus.add(2, r"sales\.parquet is not a Parquet file, as its name says: it holds a text file")
def text_called_parquet(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, name="sales.parquet"))


@corpus.add(2, r"sales\.csv is not a text file, as its name says: it holds a Parquet file")
def parquet_called_csv(folder: Path) -> list[str]:
    sound().write_parquet(folder / "sales.csv")
    return forecast(folder / "sales.csv")


@corpus.add(2, r"sales\.csv is not a text file, as its name says: it holds a PDF document")
def a_pdf_called_csv(folder: Path) -> list[str]:
    return forecast(text(folder, b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n"))


@corpus.add(2, r"picture\.png is no format that is known here\. Known: CSV, Parquet, Excel")
def a_picture(folder: Path) -> list[str]:
    return forecast(text(folder, b"\x89PNG\r\n\x1a\n" + bytes(5000), "picture.png"))


@corpus.add(2, r"letter\.docx holds 2 files \(\[Content_Types\]\.xml, word/document\.xml\)")
def a_letter(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "letter.docx", "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w:document/>")
    return forecast(folder / "letter.docx")


@corpus.add(2, r"shop\.db is a SQLite database\. Write its address and a query: sqlite:///")
def a_database_given_as_a_file(folder: Path) -> list[str]:
    import sqlite3

    base = sqlite3.connect(folder / "shop.db")
    base.execute("create table sales (item text)")
    base.commit()
    base.close()
    return forecast(folder / "shop.db")


@corpus.add(1, r"No column of page\.csv looks like the date\. Its columns: <!DOCTYPE html>")
def a_web_page_saved_as_csv(folder: Path) -> list[str]:
    page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\n<body>Please sign in</body></html>\n"
    return forecast(text(folder, page, "page.csv"))


@corpus.add(2, r"whole\.json cannot be read: .*character 51")
def one_json_document_instead_of_lines(folder: Path) -> list[str]:
    return forecast(text(folder, '{"sales": [1, 2, 3], "dates": {"from": "2024-01-01"}', "whole.json"))


# -- damaged ----------------------------------------------------------------------------------------------------------


@corpus.add(2, r"cut\.parquet cannot be read")
def a_parquet_file_cut_off(folder: Path) -> list[str]:
    sound().write_parquet(folder / "full.parquet")
    return forecast(text(folder, (folder / "full.parquet").read_bytes()[:-50], "cut.parquet"))


@corpus.add(2, r"magic\.parquet cannot be read")
def a_parquet_file_with_a_wrong_last_word(folder: Path) -> list[str]:
    sound().write_parquet(folder / "full.parquet")
    return forecast(text(folder, (folder / "full.parquet").read_bytes()[:-4] + b"RAP1", "magic.parquet"))


@corpus.add(2, r"footer\.parquet cannot be read")
def a_parquet_footer_of_four_gigabytes(folder: Path) -> list[str]:
    sound().write_parquet(folder / "full.parquet")
    raw = (folder / "full.parquet").read_bytes()
    return forecast(text(folder, raw[:-8] + struct.pack("<I", 0xFFFFFFF0) + b"PAR1", "footer.parquet"))


@corpus.add(2, r"zeros\.parquet cannot be read")
def a_parquet_file_with_pages_of_zeros(folder: Path) -> list[str]:
    sound().write_parquet(folder / "full.parquet")
    raw = (folder / "full.parquet").read_bytes()
    middle = len(raw) - 8 - struct.unpack("<I", raw[-8:-4])[0]
    return forecast(text(folder, raw[:4] + bytes(middle - 4) + raw[middle:], "zeros.parquet"))


@corpus.add(2, r"lies\.parquet cannot be read")
def a_parquet_file_that_promises_a_quintillion_rows(folder: Path) -> list[str]:
    return forecast(parquet_that_lies(folder / "lies.parquet"))


@corpus.add(2, r"big\.parquet cannot be read")
def a_parquet_file_that_promises_four_billion_rows(folder: Path) -> list[str]:
    return forecast(parquet_that_lies(folder / "big.parquet", 4_000_000_000))


@corpus.add(2, r"negative\.parquet cannot be read")
def a_parquet_file_that_promises_less_than_no_rows(folder: Path) -> list[str]:
    sound().write_parquet(folder / "full.parquet")
    made = parquet_that_lies(folder / "negative.parquet", 2**63 - 1)
    return forecast(made)


@corpus.add(2, r"cut\.feather cannot be read")
def an_arrow_file_cut_off(folder: Path) -> list[str]:
    sound().write_ipc(folder / "full.feather", compression="uncompressed")
    return forecast(text(folder, (folder / "full.feather").read_bytes()[:700], "cut.feather"))


@corpus.add(2, r"broken\.xlsx is damaged and cannot be read")
def a_spreadsheet_cut_off(folder: Path) -> list[str]:
    sound().write_excel(folder / "full.xlsx")
    return forecast(text(folder, (folder / "full.xlsx").read_bytes()[:3000], "broken.xlsx"))


@corpus.add(2, r"sales\.csv\.gz is damaged and cannot be unpacked")
def a_gzip_file_cut_off(folder: Path) -> list[str]:
    return forecast(text(folder, gzip.compress(sound().write_csv().encode())[:-200], "sales.csv.gz"))


@corpus.add(2, r"sum\.csv\.gz is damaged and cannot be unpacked: .*CRC")
def a_gzip_file_with_a_wrong_checksum(folder: Path) -> list[str]:
    packed = bytearray(gzip.compress(sound().write_csv().encode()))
    packed[-6] ^= 0xFF
    return forecast(text(folder, bytes(packed), "sum.csv.gz"))


@corpus.add(2, r"sales\.csv\.xz is damaged and cannot be unpacked")
def an_xz_file_with_rubbish_in_the_middle(folder: Path) -> list[str]:
    packed = lzma.compress(sound().write_csv().encode())
    return forecast(text(folder, packed[:100] + b"rubbish" + packed[107:], "sales.csv.xz"))


@corpus.add(2, r"sales\.csv\.bz2 is damaged and cannot be unpacked")
def a_bzip2_file_cut_off(folder: Path) -> list[str]:
    return forecast(text(folder, bz2.compress(sound().write_csv().encode())[:-20], "sales.csv.bz2"))


@corpus.add(2, r"sales\.csv\.zst is damaged and cannot be unpacked")
def a_zstd_file_cut_off(folder: Path) -> list[str]:
    import pyarrow as pa

    packed = io.BytesIO()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(sound().write_csv().encode())
        stream.flush()
        raw = packed.getvalue()
    return forecast(text(folder, raw[:-60], "sales.csv.zst"))


@corpus.add(2, r"sales\.csv\.gz is not a gzip file, as its name says")
def text_called_gzip(folder: Path) -> list[str]:
    return forecast(text(folder, sound().write_csv(), "sales.csv.gz"))


# -- archives ---------------------------------------------------------------------------------------------------------


@corpus.add(2, r"two\.zip holds 2 files \(north\.csv, south\.csv\); one table was expected")
def a_zip_with_two_files(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "two.zip", "w") as archive:
        archive.writestr("north.csv", sound().write_csv())
        archive.writestr("south.csv", sound().write_csv())
    return forecast(folder / "two.zip")


@corpus.add(2, r"none\.zip holds 0 files; one table was expected")
def a_zip_with_nothing_in_it(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "none.zip", "w"):
        pass
    return forecast(folder / "none.zip")


@corpus.add(2, r"nameless\.zip holds 0 files")
def a_zip_whose_file_has_no_name(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "named.zip", "w") as archive:
        archive.writestr("s", sound().write_csv())
    raw = (folder / "named.zip").read_bytes()
    local = raw[:26] + b"\0\0" + raw[28:30] + raw[31:]
    listed = local.index(b"PK\x01\x02")
    made = bytearray(local[:listed + 28] + b"\0\0" + local[listed + 30:listed + 46] + local[listed + 47:])
    end = made.rindex(b"PK\x05\x06")
    made[end + 12:end + 20] = struct.pack("<II", 46, listed)
    return forecast(text(folder, bytes(made), "nameless.zip"))


@corpus.add(2, r"locked\.zip is locked with a password")
def a_zip_with_a_password(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "locked.zip", "w") as archive:
        archive.writestr("sales.csv", sound().write_csv())
    raw = bytearray((folder / "locked.zip").read_bytes())
    raw[6] |= 1
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (folder / "locked.zip").write_bytes(raw)
    return forecast(folder / "locked.zip")


@corpus.add(2, r"rest\.zip is damaged and cannot be unpacked")
def a_zip_cut_off(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "full.zip", "w") as archive:
        archive.writestr("sales.csv", sound().write_csv())
    return forecast(text(folder, (folder / "full.zip").read_bytes()[:-30], "rest.zip"))


@corpus.add(0, r"240 rows")
def a_zip_whose_file_wants_to_leave_the_folder(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "climbing.zip", "w") as archive:
        archive.writestr("../../out/../../evil.csv", sound().write_csv())
    return forecast(folder / "climbing.zip")


@corpus.add(1, r"bomb\.csv\.gz unpacks to more than 400 times its size")
def a_gzip_bomb(folder: Path) -> list[str]:
    return forecast(gzip_bomb(folder / "bomb.csv.gz"))


@corpus.add(1, r"bomb\.zip unpacks to more than 400 times its size")
def a_zip_bomb(folder: Path) -> list[str]:
    return forecast(zip_bomb(folder / "bomb.zip", "sales.csv"))


@corpus.add(2, r"modest\.zip is damaged and cannot be unpacked")
def a_zip_bomb_that_says_it_is_small(folder: Path) -> list[str]:
    return forecast(zip_bomb(folder / "modest.zip", "sales.csv", promised=1000))


@corpus.add(1, r"bomb\.xlsx unpacks to more than")
def a_spreadsheet_bomb(folder: Path) -> list[str]:
    sound().write_excel(folder / "full.xlsx")
    with zipfile.ZipFile(folder / "full.xlsx") as archive:
        parts = {n: archive.read(n) for n in archive.namelist() if not n.endswith("sheet1.xml")}
    return forecast(zip_bomb(folder / "bomb.xlsx", "xl/worksheets/sheet1.xml", 8, beside=parts))


@corpus.add(0, r"onion\.csv\.gz was unpacked")
def an_archive_in_an_archive(folder: Path) -> list[str]:
    return forecast(gzip_onion(folder / "onion.csv.gz", 2))


@corpus.add(2, r"onion\.gz is packed more than \d+ times over")
def an_archive_in_an_archive_without_end(folder: Path) -> list[str]:
    return forecast(gzip_onion(folder / "onion.gz", 400))


# -- no such file -----------------------------------------------------------------------------------------------------


@corpus.add(2, r"There is no file '.*sale\.csv'\. Did you mean 'sales\.csv'\?")
def a_name_with_a_letter_missing(folder: Path) -> list[str]:
    return forecast(sales_csv(folder).with_name("sale.csv"))


@corpus.add(2, r"There is no file '.*/absent/sale.*': the folder '.*absent' does not exist")
def a_folder_that_is_not_there(folder: Path) -> list[str]:
    return forecast(folder / "absent" / "sales.csv")


@corpus.add(2, r"The name of the sales file is empty")
def an_empty_name(folder: Path) -> list[str]:
    return forecast("")


@corpus.add(2, r"A file name cannot hold a NUL character")
def a_name_with_a_nul_character(folder: Path) -> list[str]:
    return forecast("sales\0.csv")


@corpus.add(2, r"'\.\.\.n{20,}' cannot be opened: File name too long")
def a_name_of_ten_thousand_characters(folder: Path) -> list[str]:
    return forecast("n" * 10_000)


@corpus.add(2, r"No file matches '.*month_\*\.csv'\. Is the folder right\?")
def a_glob_that_matches_nothing(folder: Path) -> list[str]:
    sales_csv(folder)
    return forecast(f"{folder}/month_*.csv")


@corpus.add(2, r"holds no file that can be read")
def a_folder_without_files(folder: Path) -> list[str]:
    (folder / "empty").mkdir()
    return forecast(folder / "empty")


@corpus.add(2, r"holds files of several kinds \(\.csv, \.parquet\)")
def a_folder_of_several_kinds(folder: Path) -> list[str]:
    (folder / "mixed").mkdir()
    sales_csv(folder / "mixed")
    sound().write_parquet(folder / "mixed" / "sales.parquet")
    return forecast(folder / "mixed")


@corpus.add(1, r"The files have different columns: b\.csv lacks sales and has turnover, unlike a\.csv")
def a_folder_of_different_tables(folder: Path) -> list[str]:
    (folder / "months").mkdir()
    sales_csv(folder / "months", name="a.csv")
    sales_csv(folder / "months", sound().rename({"sales": "turnover"}), name="b.csv")
    return forecast(folder / "months")


@corpus.add(1, r"The files have different types: 'date' of b\.parquet is of type List.*, in a\.parquet of type Date")
def a_folder_of_the_same_names_with_other_types(folder: Path) -> list[str]:
    (folder / "parts").mkdir()
    sound().write_parquet(folder / "parts" / "a.parquet")
    sound().with_columns(date=pl.lit([1, 2])).write_parquet(folder / "parts" / "b.parquet")
    return forecast(folder / "parts")


@corpus.add(1, r"empty\.csv is empty")
def a_glob_with_one_empty_file(folder: Path) -> list[str]:
    sales_csv(folder, name="full.csv")
    text(folder, b"", "empty.csv")
    return forecast(f"{folder}/*.csv")


@corpus.add(2, r"(looks at more than 500,000 names|No file matches '/\*\*)")
def a_glob_over_the_whole_disk(folder: Path) -> list[str]:
    return forecast("/**/**/**/*.no_such_ending")


@corpus.add(2, r"No file matches '.*\*a\*a")
def a_glob_of_many_stars(folder: Path) -> list[str]:
    text(folder, b"x", "a" * 200)
    return forecast(f"{folder}/" + "*a" * 60 + "*b")


# -- not a plain file -------------------------------------------------------------------------------------------------


@corpus.add(2, r"circle\.csv' is a link to a file that does not exist, or to itself")
def a_link_to_itself(folder: Path) -> list[str]:
    (folder / "circle.csv").symlink_to("circle.csv")
    return forecast(folder / "circle.csv")


@corpus.add(2, r"gone\.csv' is a link to a file that does not exist")
def a_link_to_nowhere(folder: Path) -> list[str]:
    (folder / "gone.csv").symlink_to("/nowhere/sales.csv")
    return forecast(folder / "gone.csv")


@corpus.add(2, r"No file matches '.*\*\*/\*\.tsv'")
def a_folder_that_holds_itself(folder: Path) -> list[str]:
    (folder / "deep").mkdir()
    (folder / "deep" / "again").symlink_to("..", target_is_directory=True)
    return forecast(f"{folder}/**/*.tsv")


@corpus.add(2, r"pipe\.csv' is not a regular file\. Pipe it in instead")
def a_named_pipe_that_nobody_fills(folder: Path) -> list[str]:
    os.mkfifo(folder / "pipe.csv")
    return forecast(folder / "pipe.csv")


@corpus.add(2, r"'/dev/zero' is not a regular file")
def an_endless_device(folder: Path) -> list[str]:
    return forecast("/dev/zero")


@corpus.add(2, r"'/dev/null' is not a regular file")
def a_device_with_nothing(folder: Path) -> list[str]:
    return forecast("/dev/null")


@corpus.add(2, r"till\.csv' is not a regular file")
def a_socket(folder: Path) -> list[str]:
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(folder)  # the address of a socket may have some 100 characters only
    server.bind("till.csv")
    os.chdir(here)
    server.close()
    return forecast(folder / "till.csv")


@corpus.add(2, r"'/proc/self/mem' cannot be opened: ")
def a_file_that_even_root_cannot_read(folder: Path) -> list[str]:
    return forecast("/proc/self/mem")


@corpus.add(2, r"There is no file '.*/sales \\+x07\\+x1b\[31mred\.csv'")
def a_name_with_a_line_break_and_a_bell(folder: Path) -> list[str]:
    return forecast(folder / "sales\n\x07\x1b[31mred.csv")


@corpus.add(0, r"240 rows")
def a_name_with_every_odd_character(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, name="my 'sales' \"ü\" €%7E #1 & $HOME;.csv"))


@corpus.add(0, r"240 rows")
def a_name_that_is_no_unicode(folder: Path) -> list[str]:
    path = os.fsencode(folder) + b"/caf\xe9.csv"
    with open(path, "wb") as file:
        file.write(sound().write_csv().encode())
    return forecast(os.fsdecode(path))


@corpus.add(0, r"240 rows")
def a_name_that_holds_the_marks_of_a_glob(folder: Path) -> list[str]:
    return forecast(sales_csv(folder, name="sales[1]*.csv"))


# -- addresses --------------------------------------------------------------------------------------------------------


@corpus.add(2, r"https://example\.org/sales\.csv cannot be read.* Download files first")
def a_web_address(folder: Path) -> list[str]:
    return forecast("https://example.org/sales.csv")


@corpus.add(2, r"s3://bucket/sales\.parquet cannot be read")
def a_bucket(folder: Path) -> list[str]:
    return forecast("s3://bucket/sales.parquet")


@corpus.add(2, r"oracle://ann:\*\*\*@host/shop cannot be read\. Known addresses: postgresql")
def an_unknown_database(folder: Path) -> list[str]:
    return forecast("oracle://ann:secret@host/shop", "--query", "select 1")


@corpus.add(2, r"A query goes with a database address .*not with")
def a_query_for_a_file(folder: Path) -> list[str]:
    return forecast(sales_csv(folder), "--query", "select * from sales")


@pytest.mark.parametrize("case", corpus.params())
def test_a_file_that_cannot_be_used_is_answered(case: Case, answer: Callable[[Case], None]) -> None:
    answer(case)
