"""The corpus as a whole: it is large, and no two inputs are answered by the same words."""

from collections import Counter

from broken import test_broken_covariates, test_broken_files, test_broken_flags, test_broken_tables, test_broken_values

CASES = [case for part in (test_broken_files, test_broken_tables, test_broken_values, test_broken_covariates, test_broken_flags)
         for case in part.corpus.cases]


def test_the_corpus_is_large_and_names_are_not_given_twice() -> None:
    assert len(CASES) >= 200
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []


def test_every_refused_input_has_a_message_of_its_own() -> None:
    refused = [case for case in CASES if case.code]
    assert len(refused) >= 150
    assert [says for says, count in Counter(case.says for case in refused).items() if count > 1] == []


def test_every_exit_code_for_data_and_usage_occurs() -> None:
    codes = Counter(case.code for case in CASES)
    assert set(codes) == {0, 1, 2} and min(codes.values()) >= 30
