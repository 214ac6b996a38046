"""Walmart: weekly sales of 45 stores by department (Kaggle, 2014). Weeks carry their Friday; negative weeks are returns."""

from shelfcast.data.sources.bundle import Bundle, File, Piece
from shelfcast.data.sources.dialect import Dialect

SALES = Dialect(
    name="walmart",
    title="Walmart store sales",
    signature=("store", "dept", "date", "weekly_sales"),
    roles={"location": "store", "item": "dept", "date": "date", "sales": "weekly_sales"},
    shape="series",
)
FUTURE = Dialect(name="walmart future", title="Walmart's weeks after the last sale",
                 signature=("store", "dept", "date", "isholiday"), also=lambda names: "weekly_sales" not in names,
                 roles={"location": "store", "item": "dept", "date": "date"})
FEATURES = Dialect(name="walmart features", title="Walmart features", signature=("store", "date", "fuel_price", "cpi"),
                   roles={"location": "store", "date": "date"})
STORES = Dialect(name="walmart stores", title="Walmart stores", signature=("store", "type", "size"), roles={"location": "store"})

BUNDLE = Bundle(
    name="walmart",
    title="Walmart Recruiting: Store Sales Forecasting",
    origin="the Kaggle competition 'Walmart Recruiting - Store Sales Forecasting'",
    sales="train.csv",
    dialects=(SALES,),
    files=(
        File(name="train.csv", holds="weekly sales by store and department", needed=True),
        File(name="test.csv", holds="the weeks to forecast: store, department, holiday"),
        File(name="features.csv", holds="markdowns, holidays, weather and economy by store and week, past the last sale"),
        File(name="stores.csv", holds="type and size of each store"),
        File(name="samplesubmission.csv", holds="nothing that is used"),
    ),
    known=("IsHoliday",),
    pieces=(
        Piece(use="covariates", of=("features.csv",), keys=("location", "date"),
              says="holidays and markdowns, known ahead; weather and economy, which are not",
              known=("IsHoliday", *(f"MarkDown{k}" for k in range(1, 6))),
              past=("Temperature", "Fuel_Price", "CPI", "Unemployment")),
        Piece(use="attributes", of=("stores.csv",), says="attributes of stores", keys=("location",)),
    ),
    notes=(
        "Weeks carry their Friday (W-FRI). Sales are money; weeks below zero are returns, and become 0 unless `--returns net`.",
        "Markdowns are known from November 2011 on; before, and where the file says NA, they are not known, which is not 0.",
        "The file gives temperature, fuel price, CPI and unemployment past the last sale too. Nobody knows those ahead, so they "
        "are seen up to the cutoff only. To use them as the competition did: `--known Temperature,Fuel_Price,CPI,Unemployment`.",
        "test.csv adds nothing that features.csv does not say, and is not used.",
    ),
    example="shelfcast forecast walmart/ --horizon 39",
)
