"""Walmart's folder: markdowns are the retailer's own plan, the weather is not."""

from shelfcast.data.clean import clean_sales
from shelfcast.data.read import read_sales

FEATURES = """Store,Date,Temperature,Fuel_Price,MarkDown1,MarkDown2,MarkDown3,MarkDown4,MarkDown5,CPI,Unemployment,IsHoliday
1,2012-10-12,62.9,3.6,4086.9,NA,85.3,1237.5,3208.3,223.0,6.57,FALSE
1,2012-10-19,67.9,3.5,2086.9,NA,105.3,137.5,1208.3,223.0,6.57,FALSE
1,2012-10-26,69.1,3.5,3493.9,NA,18.3,147.5,1088.3,223.1,6.57,FALSE
1,2012-11-02,55.3,3.4,5046.7,NA,18.8,2253.4,3340.6,223.1,NA,TRUE
"""
ALL = {"train.csv": "Store,Dept,Date,Weekly_Sales,IsHoliday\n1,1,2012-10-12,100.5,FALSE\n1,1,2012-10-19,-4.5,FALSE\n"
                    "1,1,2012-10-26,110,FALSE\n", "features.csv": FEATURES, "stores.csv": "Store,Type,Size\n1,A,151315\n",
       "test.csv": "Store,Dept,Date,IsHoliday\n1,1,2012-11-02,TRUE\n"}


def test_markdowns_and_holidays_reach_past_the_last_sale_and_the_weather_does_not(written):
    lines = read_sales(written(ALL))
    panel = clean_sales(lines).panel
    assert str(panel.frequency) == "W-FRI" and panel.dense().sales.tolist() == [[100.5, 0.0, 110.0]]
    dense = panel.dense(horizon=1)
    assert dense.known["MarkDown1"][0, -1] == 5046.7 and dense.known["IsHoliday"].tolist() == [[0, 0, 0, 1]]
    assert dense.past["Temperature"].tolist() == [[62.9, 67.9, 69.1]] and "Size" in panel.places.columns
    assert "Not used of the folder: test.csv." in lines.told


def test_the_user_may_take_the_weather_for_known_as_the_competition_did(written):
    lines = read_sales(written(ALL), known=["Temperature"])
    assert lines.covariates["Temperature"] == "known" and lines.covariates["CPI"] == "past"
