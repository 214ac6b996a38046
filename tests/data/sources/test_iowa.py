"""Iowa's lines as the state exports them: month first, money with a dollar sign, points of the globe in the lines."""

from datetime import date

import pytest

from shelfcast.data.read import read_sales

HEAD = ("Invoice/Item Number,Date,Store Number,Store Name,Address,City,Zip Code,Store Location,County Number,County,Category,"
        "Category Name,Vendor Number,Vendor Name,Item Number,Item Description,Pack,Bottle Volume (ml),State Bottle Cost,"
        "State Bottle Retail,Bottles Sold,Sale (Dollars),Volume Sold (Liters),Volume Sold (Gallons)\n")
EXPORT = HEAD + (
    'INV-00012300001,03/04/2019,2190,CENTRAL CITY,1460 2ND AVE,DES MOINES,50314,POINT (-93.62 41.6),77,POLK,1012100,WHISKIES,'
    '260,DIAGEO,11788,BLACK VELVET,6,1750,$10.00,$15.00,12,$180.00,21.0,5.54\n'
    'RINV-0012400002,05/06/2019,2190,CENTRAL CITY,1460 2ND AVE,DES MOINES,50314,,77,POLK,1012100,WHISKIES,260,DIAGEO,'
    '11788,BLACK VELVET,6,1750,$10.00,$15.00,-2,$-30.00,-3.5,-0.92\n'
    '"S29198800001",07/08/2019,4829,OTHER,100 MAIN,AMES,50010,"100 MAIN\nAMES 50010\n(42.02, -93.61)",85,STORY,1012100,WHISKIES,'
    '260,DIAGEO,x904631,SAMPLER,6,750,$5.00,$7.50,6,$45.00,4.5,1.19\n')
INTERFACE = ("invoice_line_no,date,store,name,city,zipcode,store_location,itemno,im_desc,category_name,pack,bottle_volume_ml,"
             "state_bottle_retail,sale_bottles,sale_dollars\n"
             "INV-1,2019-03-04T00:00:00.000,2190,CENTRAL CITY,DES MOINES,50314,POINT (-93.62 41.6),11788,BLACK VELVET,WHISKIES,6,"
             "1750,15.00,12,180.00\n")


@pytest.mark.parametrize("name", ["Iowa_Liquor_Sales.csv", "Iowa_Liquor_Sales_20240131.csv"])
def test_the_export_is_read_month_first_with_dollars_and_places(written, name):
    lines = read_sales(written({name: EXPORT}))
    frame = lines.frame.select("item", "location", "date", "sales", "price").collect()
    assert frame.rows() == [("11788", 2190, date(2019, 3, 4), 12.0, 15.0), ("11788", 2190, date(2019, 5, 6), -2.0, 15.0),
                            ("x904631", 4829, date(2019, 7, 8), 6.0, 7.5)]
    assert lines.shape == "transactions" and lines.told[0].endswith(f"is recognised as Iowa liquor sales: {name} holds the sales.")
    places = lines.places.sort("location").select("location", "latitude", "longitude", "City")
    assert places.rows() == [(2190, 41.6, -93.62, "DES MOINES"), (4829, 42.02, -93.61, "AMES")]
    assert lines.items.filter(lines.items["item"] == "11788")["Item Description"].item() == "BLACK VELVET"


def test_the_names_of_the_interface_mean_the_same(written):
    lines = read_sales(written({"Iowa_Liquor_Sales.csv": INTERFACE}))
    assert lines.frame.select("date", "sales", "price").collect().row(0) == (date(2019, 3, 4), 12.0, 15.0)
    assert lines.places.select("latitude", "name").row(0) == (41.6, "CENTRAL CITY")
    assert lines.items["im_desc"].to_list() == ["BLACK VELVET"]


def test_the_file_by_itself_needs_no_word_about_its_dates(written):
    lines = read_sales(written({"mine.csv": EXPORT}) / "mine.csv")
    assert lines.dialect == "iowa state" and lines.frame.collect()["date"][0] == date(2019, 3, 4)


@pytest.mark.data
def test_ten_years_of_the_real_folder_are_one_table_with_places_on_the_map(public_data):
    lines = read_sales(public_data / "iowa_liquor", freq="W")
    assert lines.files == 10 and lines.places["latitude"].is_between(40, 44).sum() > 2_000
    assert "item_description" in lines.items.columns
