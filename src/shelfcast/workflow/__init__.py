"""One short function for each thing that a user can ask for; every door calls these and nothing beneath them.

    check     what is wrong or odd in sales
    clean     a clean panel and what was changed
    fit       a fitted model, kept as a folder
    forecast  read, check, clean, score on the last window, fit, forecast, report
    backtest  replay the past with several models, side by side
    compare   is one model really better than another, by how much and where
    compress  smaller, faster weights for the model `pretrained`, measured before and after
    demo      the same on a simulated chain
    finetune  the pretrained network, having learned from one's own sales, where that is better
    pretrain  a network of one's own on simulated retailers, for the model `pretrained`
    tune      search the settings under which a model would have forecast the past best
    models    which models there are; `doctor`: what is installed and why
"""

from shelfcast.workflow.backtesting import BacktestResult, backtest
from shelfcast.workflow.comparing import ComparisonResult, compare
from shelfcast.workflow.compressing import CompressResult, compress
from shelfcast.workflow.finetuning import FinetuneResult, finetune
from shelfcast.workflow.forecasting import ForecastResult, demo, fit, forecast
from shelfcast.workflow.preparing import Prepared, Say, check, clean, silent
from shelfcast.workflow.pretraining import PretrainResult, pretrain
from shelfcast.workflow.telling import doctor, models
from shelfcast.workflow.tuning import TuneResult, tune

__all__ = ["BacktestResult", "ComparisonResult", "CompressResult", "FinetuneResult", "ForecastResult", "Prepared",
           "PretrainResult", "Say", "TuneResult", "backtest", "check", "clean", "compare", "compress", "demo", "doctor", "finetune",
           "fit", "forecast", "models", "pretrain", "silent", "tune"]
