from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from udt.featurizers.dates import LAYOUTS, NO_DATE, DateEncoder, guess_layout, parse_moments

A_DAY = dt.datetime(2015, 2, 27, 23, 10, 11)


def read(cell, layout):
    days, hours = parse_moments(pa.array([cell], pa.large_string()), layout)
    return None if days[0] == NO_DATE else (str(np.datetime64(int(days[0]), "D")), int(hours[0]))


def fits(cell):
    return [layout for layout in LAYOUTS if read(cell, layout) is not None]


@pytest.mark.parametrize(
    ("cell", "layout", "hour"),
    [
        ("2015-02-27", "ymd", -1),
        ("2015/2/27", "ymd", -1),
        ("2015-02-27T23:10:11Z", "ymd", 23),
        ("2015-02-27 23:10:11.123456+01:00", "ymd", 23),
        ("27.02.2015", "dmy", -1),
        ("27-02-2015 23.10", "dmy", 23),
        ("2/27/2015 11:05 PM", "mdy", 23),
        ("2/27/15 12:05 AM", "mdy", 0),
        ("27 Feb 2015", "dmy", -1),
        ("February 27th, 2015 at 11:10pm", "mdy", 23),
        ("27-FEB-2015 23:10:11.05", "dmy", 23),
        ("Fri, 27 Feb 2015 23:10:11 -0800", "dmy", 23),
        ("Fri Feb 27 23:10:11 +0000 2015", "mdy", 23),
        ("Fri Feb 27 23:10:11 2015", "mdy", 23),
        ("2015年2月27日", "ymd", -1),
        ("  2015-02-27 ", "ymd", -1),
    ],
)
def test_common_formats(cell, layout, hour):
    assert read(cell, layout) == ("2015-02-27", hour)


@pytest.mark.parametrize("cell", ["Feb 2015", "2015-02", "02/2015"])
def test_months_without_a_day_are_their_first(cell):
    layout = "ym" if cell.startswith("2015") else "my"
    assert read(cell, layout) == ("2015-02-01", -1)


@pytest.mark.parametrize(
    "cell",
    ["", "hello", "May", "2015", "3.5", "10:30", "1.2.3", "192.168.1.1", "30.02.2015", "29.2.2015",
     "13/13/2015", "555-12-1234", "we met on 27 Feb 2015", "27 Feb 2015 x", "20150227" * 8,
     "7 marketing 2015", "1 2 3 4 5"],
)  # fmt: skip
def test_what_is_no_date(cell):
    assert fits(cell) == []


@given(st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(2999, 12, 31)), st.data())
def test_written_dates_are_read_back(moment, data):
    layout, pattern = data.draw(
        st.sampled_from(
            [("ymd", "%Y-%m-%d %H:%M:%S"), ("dmy", "%d.%m.%Y %H:%M"), ("mdy", "%b %d, %Y %I:%M %p"),
             ("dmy", "%a, %d %B %Y %H:%M:%S +0200")]
        )
    )  # fmt: skip
    text = moment.strftime(pattern).replace(str(moment.year), f"{moment.year:04d}")
    assert read(text, layout) == (moment.date().isoformat(), moment.hour)


@given(st.lists(st.text(max_size=50), max_size=20))
def test_no_text_raises_and_rows_do_not_depend_on_each_other(cells):
    together = parse_moments(pa.array(cells, pa.large_string()), "dmy").days
    alone = [parse_moments(pa.array([c], pa.large_string()), "dmy").days[0] for c in cells]
    assert together.tolist() == alone


def days_from(start, n, pattern):
    return pa.array([(start + dt.timedelta(days=3 * i)).strftime(pattern) for i in range(n)])


@pytest.mark.parametrize(
    ("pattern", "layout"),
    [
        ("%d/%m/%Y", "dmy"),
        ("%m/%d/%Y", "mdy"),
        ("%Y.%m.%d", "ymd"),
        ("%y.%m.%d", "ymd"),
        ("%d.%m.%y", "dmy"),
        ("%m/%d/%y", "mdy"),
        ("%d %b %Y", "dmy"),
        ("%Y-%m", "ym"),
    ],
)
def test_the_layout_is_found_from_all_rows(pattern, layout):
    column = days_from(dt.date(2005, 1, 1), 900, pattern)
    assert guess_layout(column) == ({"layout": layout}, 1.0)


def test_an_undecided_layout_goes_by_the_separator():
    assert guess_layout(pa.array(["01/02/2015", "03/04/2015"]))[0] == {"layout": "mdy"}
    assert guess_layout(pa.array(["01.02.2015", "03.04.2015"]))[0] == {"layout": "dmy"}


def test_layouts_that_are_mixed_are_all_found():
    dates = [dt.date(2015, 1, 1) + dt.timedelta(days=11 * i) for i in range(300)]
    patterns = ("%Y-%m-%d", "%B %d, %Y", "%d.%m.%Y")
    column = pa.array([d.strftime(patterns[i % 3]) for i, d in enumerate(dates)])
    params, share = guess_layout(column)
    assert set(params["layout"].split("|")) == {"ymd", "mdy", "dmy"}
    assert share == pytest.approx(1)
    read = parse_moments(column.filter(pa.array([i % 3 != 2 for i in range(300)])), "ymd|mdy").days
    epoch = dt.date(1970, 1, 1)
    assert read.tolist() == [(d - epoch).days for i, d in enumerate(dates) if i % 3 != 2]


def test_a_few_slips_make_no_second_layout():
    column = pa.concat_arrays(
        [days_from(dt.date(2005, 1, 1), 200, "%Y-%m-%d"), pa.array(["Mar 3, 2005"])]
    )
    params, share = guess_layout(column)
    assert params == {"layout": "ymd"}
    assert share == pytest.approx(200 / 201)


def names_of(encoder, column):
    csr = encoder.transform(column)
    names = encoder.feature_names()
    return [
        {names[i]: v for i, v in zip(csr.indices[lo:hi], csr.values[lo:hi], strict=True)}
        for lo, hi in zip(csr.indptr[:-1], csr.indptr[1:], strict=True)
    ]


def test_a_date_becomes_its_parts_and_a_trend():
    column = pa.array([dt.datetime(2014, 1, 1, 5), dt.datetime(2016, 1, 1, 7), None])
    encoder = DateEncoder.fit(column, {})
    assert len(encoder.feature_names()) == encoder.n_features
    row, missing, after = names_of(encoder, pa.array([A_DAY, None, dt.datetime(2031, 12, 1)]))
    parts = {"year = 2015", "month = Feb", "weekday = Fri", "day of month = 21 … 31", "hour = 23"}
    assert parts < set(row)
    assert row["around 2014-01-01"] + row["around 2016-01-01"] == pytest.approx(1)
    assert missing == {"missing": 1}
    assert not any(name.startswith("year") for name in after)
    assert after["around 2016-01-01"] == 1


def test_hours_are_told_only_where_they_differ():
    encoder = DateEncoder.fit(pa.array([dt.datetime(2014, 1, 1), dt.datetime(2016, 1, 1)]), {})
    assert not encoder.hours
    assert not any("hour" in name for name in encoder.feature_names())


def test_strings_and_timestamps_agree():
    moments = [A_DAY + dt.timedelta(hours=7 * i) for i in range(300)]
    strings = pa.array([m.strftime("%d/%m/%Y %H:%M") for m in moments])
    encoder = DateEncoder.fit(strings, {"layout": "dmy"})
    for unit in ("s", "ms", "us", "ns"):
        stamps = encoder.transform(pa.array(moments, pa.timestamp(unit, "UTC")))
        for old, new in zip(encoder.transform(strings), stamps, strict=True):
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    "column",
    [pa.nulls(1), pa.array([3]), pa.array([[1]]), pa.array([b"\xff"]), pa.array([True]),
     pa.array([dt.time(1)]), pa.array([2**62], pa.timestamp("s")), pa.array(["x"])],
)  # fmt: skip
def test_a_column_of_another_type_never_raises(column):
    encoder = DateEncoder.fit(pa.array([A_DAY]), {})
    assert encoder.transform(column).n_rows == 1


def test_a_column_without_dates_still_encodes():
    encoder = DateEncoder.fit(pa.array(["x", None]), {"layout": "ymd"})
    assert names_of(encoder, pa.array(["y"])) == [{"missing": 1}]


@given(st.lists(st.dates() | st.none(), min_size=1, max_size=30))
def test_state_round_trip(values):
    column = pa.array(values, pa.date32())
    encoder = DateEncoder.fit(column, {})
    meta, arrays = encoder.state()
    again = DateEncoder.from_state(json.loads(json.dumps(meta)), arrays)
    assert again.feature_names() == encoder.feature_names()
    for old, new in zip(encoder.transform(column), again.transform(column), strict=True):
        np.testing.assert_array_equal(old, new)
