"""CSV tables: decimal commas, separators, names, and the columns that only tell rows apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from robustmm.errors import DataError
from robustmm.modalities import Series
from robustmm.modalities.series import TableFacts, describe_table, read_csv

VALUES = np.array([[1.5, -2.25], [0.125, 4.0], [3.0, -0.5]])
PLAIN = "1.5{0}-2.25\n0.125{0}4.0\n3.0{0}-0.5\n"


def table(folder: Path, text: str | bytes, name: str = "a.csv") -> Path:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / name


def with_decimals(text: str) -> str:
    return text.replace(".", ",")


READ = {
    "points": (PLAIN.format(","), "."),
    "semicolons": (PLAIN.format(";"), "."),
    "tabs": (PLAIN.format("\t"), "."),
    "decimal commas": (with_decimals(PLAIN.format(";")), ","),
    "decimal commas, names": ("Beschl. x;Beschl. y\n" + with_decimals(PLAIN.format(";")), ","),
    "decimal commas, tabs": (with_decimals(PLAIN.format("\t")), ","),
    "decimal commas in quotes": ('"1,5","-2,25"\n"0,125","4,0"\n"3,0","-0,5"\n', ","),
    "lines end in a separator": ("x,y,\n" + PLAIN.format(",").replace("\n", ",\n"), "."),
    "columns that pandas numbers": ("0,1\n" + PLAIN.format(","), "."),
    "windows": ("x;y\r\n" + with_decimals(PLAIN.format(";")).replace("\n", "\r\n"), ","),
}


@pytest.mark.parametrize("name", READ)
def test_however_it_is_written_it_is_the_same_table(tmp_path: Path, name: str) -> None:
    text, decimal = READ[name]
    path = table(tmp_path, text)
    assert read_csv(path).tolist() == VALUES.tolist()
    assert describe_table(path) == TableFacts(channels=2, left_out=[], decimal=decimal)
    series = Series(name="s", steps=3, channels=2)
    assert series.read("a.csv", tmp_path).tolist() == VALUES.tolist()


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-8-sig"])
def test_spreadsheets_write_other_encodings(tmp_path: Path, encoding: str) -> None:
    text = "Zeit (s);Temperatur (°C)\n0,0;20,5\n0,1;21,25\n"
    path = table(tmp_path, text.encode(encoding))
    assert read_csv(path).tolist() == [[20.5], [21.25]]
    assert describe_table(path) == TableFacts(1, ["Zeit (s)"], ",")


@pytest.mark.parametrize(
    "name",
    ["", "index", "Time", "time (s)", "t", "Timestamp", "time_ms", "Unnamed: 0", "Time [s]", "Zeit", "step", "seconds"],
)
def test_a_leading_index_or_time_is_left_out(tmp_path: Path, name: str) -> None:
    for column in (["0", "1", "2"], ["0.01", "0.02", "0.03"], ["5", "5", "6"]):
        rows = "".join(f"{first},{x},{y}\n" for first, (x, y) in zip(column, VALUES, strict=True))
        path = table(tmp_path, f"{name},x,y\n{rows}")
        assert read_csv(path).tolist() == VALUES.tolist()
        assert describe_table(path) == TableFacts(2, [name], ".")


@pytest.mark.parametrize(
    "moments",
    [
        ["2024-05-01 10:00:00", "2024-05-01 10:00:00.5", "2024-05-01T10:00:01Z"],
        ["01.05.2024 10:00", "01.05.2024 10:01", "01.05.2024 10:02"],
        ["5/1/2024 23:59", "5/2/2024 00:00", "5/2/2024 00:01"],
        ["10:00:00,1", "10:00:00,2", "10:00:00,3"],
    ],
)
def test_dates_are_left_out_and_say_nothing_about_decimals(tmp_path: Path, moments: list[str]) -> None:
    rows = "".join(f"{first};{x};{y}\n" for first, (x, y) in zip(moments, VALUES, strict=True))
    path = table(tmp_path, f"timestamp;x;y\n{rows}")
    assert read_csv(path).tolist() == VALUES.tolist()
    path = table(tmp_path, "timestamp;x;y\n" + "".join(f"{m};{i},5;2\n" for i, m in enumerate(moments)))
    assert describe_table(path) == TableFacts(2, ["timestamp"], ",")


@pytest.mark.parametrize(
    ("text", "channels"),
    [
        ("x,time,y\n1,0,5\n2,1,4\n", 3),  # not leading
        ("time,x\n3,1\n1,2\n2,3\n", 2),  # does not rise
        ("time,x\n7,1\n7,2\n", 2),
        ("temperature,x\n1,1\n2,2\n", 2),  # another name
        ("min,max\n1,1\n2,2\n", 2),
        ("tilt,x\n1,1\n2,2\n", 2),
        ("0,1.5\n1,2.5\n2,3.5\n", 2),  # no names
        ("time\n1\n2\n", 1),  # nothing else
    ],
)
def test_other_columns_are_channels(tmp_path: Path, text: str, channels: int) -> None:
    assert describe_table(table(tmp_path, text)) == TableFacts(channels, [], ".")


@pytest.mark.parametrize("index", [True, False])
def test_what_pandas_writes_is_read_back(tmp_path: Path, index: bool) -> None:
    frame: Any = pd.DataFrame(VALUES, columns=["ax", "ay"])
    frame.to_csv(tmp_path / "a.csv", index=index)
    assert read_csv(tmp_path / "a.csv").tolist() == VALUES.tolist()
    assert describe_table(tmp_path / "a.csv") == TableFacts(2, [""] if index else [], ".")
    pd.DataFrame(VALUES).to_csv(tmp_path / "b.csv", index=index, sep=";", decimal=",")
    assert read_csv(tmp_path / "b.csv").tolist() == VALUES.tolist()


WRONG = {
    "x,y\n1,2\n3,x\n": 'line 3, column 2: expected a number, found "x"',
    "time,x,y\n1,2,3\n2,4,?\n": 'line 3, column 3: expected a number, found "?"',
    "x;y\n1,5;2.5\n": '"1,5" in line 2 and "2.5" in line 2: expected one decimal sign',
    "x;y\n1.234,5;2\n": "expected one decimal sign and no separators of thousands",
    "value\n1,5\n2,25\n": "line 2 has 2 values, line 1 has 1, are its commas decimal ones?",
    "1,05\n2,25\n": "line 1: 1, 05, are its commas decimal ones?",
    'x,y\n"1,2\n': "",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_cell_is_named_with_its_line(tmp_path: Path, text: str) -> None:
    path = table(tmp_path, text)
    with pytest.raises(DataError) as error:
        read_csv(path)
    assert str(error.value).startswith(f"{path} is not a CSV table of numbers (")
    assert WRONG[text] in str(error.value)


def test_a_column_that_is_left_out_is_named_where_the_shape_is_wrong(tmp_path: Path) -> None:
    table(tmp_path, "time,x,y\n0,1,2\n1,3,4\n")
    with pytest.raises(DataError) as error:
        Series(name="s", steps=2, channels=3).read("a.csv", tmp_path)
    sentence = 'a.csv should be a series (steps, 3), found (2, 2) beside "time", which is left out'
    assert str(error.value) == sentence


def test_what_a_fit_loses_is_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((10, 2)))
    for fit, steps, told in (
        ("crop", 5, []), ("crop", 4, ["of its 10 steps only 4 are read"]), ("stretch", 40, []),
        ("stretch", 41, ["its 10 steps are interpolated to 41"]),
        ("stretch", 2, ["its 10 steps are interpolated to 2"]),
    ):  # fmt: skip
        series = Series.model_validate({"name": "s", "steps": steps, "channels": 2, "fit": fit})
        assert series.find_faults("a.npy", tmp_path) == told


def test_an_index_and_a_time_are_both_left_out(tmp_path: Path) -> None:
    """As pandas writes a frame that has a column of time."""
    path = tmp_path / "a.csv"
    path.write_text(",time,ax\n0,0.0,1.5\n1,0.1,0.5\n2,0.2,2.5\n")
    assert describe_table(path) == TableFacts(channels=1, left_out=["", "time"], decimal=".")
    assert read_csv(path).tolist() == [[1.5], [0.5], [2.5]]
