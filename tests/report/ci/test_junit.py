"""JUnit XML: a gate a test case, valid against the form that CI servers read."""

from xml.etree import ElementTree as ET

import pytest
from gated import HOSTILE, audit, gate
from hypothesis import given
from hypothesis import strategies as st

from robustmm.report.ci.junit import render_junit, render_partial_junit

CASES = {"failure", "error", "skipped"}
NEEDED = {
    "testsuites": {"tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped"},
    "properties": set(), "property": {"name", "value"}, "testcase": {"name", "classname"},
    "failure": {"type", "message"}, "error": {"type", "message"}, "skipped": {"message"},
}  # fmt: skip
"""The attributes of each element; the schema of Jenkins' xUnit plugin asks for no others."""
INSIDE = {
    "testsuites": {"testsuite"}, "testsuite": {"properties", "testcase"}, "properties": {"property"},
    "testcase": CASES, "property": set(), "failure": set(), "error": set(), "skipped": set(),
}  # fmt: skip


def parsed(content: bytes) -> ET.Element:
    """The suite, held against the form: elements, attributes, order, and counts that are true."""
    whole = ET.fromstring(content)
    for element in whole.iter():
        assert set(element.attrib) == NEEDED[element.tag]
        assert {child.tag for child in element} <= INSIDE[element.tag]
    (suite,) = whole
    order = [child.tag for child in suite]
    assert order == sorted(order), "properties come before the cases"
    cases = suite.findall("testcase")
    assert all(len(case) <= 1 for case in cases)
    assert suite.attrib["tests"] == whole.attrib["tests"] == str(len(cases))
    for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert suite.attrib[count] == str(len(suite.findall(f"testcase/{tag}")))
    assert [whole.attrib[c] for c in ("failures", "errors")] == [suite.attrib[c] for c in ("failures", "errors")]
    return suite


def test_a_gate_is_a_case() -> None:
    some = (gate("PASS", "p"), gate("FAIL", "f"), gate("INCONCLUSIVE", "i", reason="few samples"))
    suite = parsed(render_junit(audit(gates=some, suite="quick", model="m.onnx", model_sha256="abc")))
    assert suite.attrib["name"] == "quick on m.onnx"
    assert [case.attrib["name"] for case in suite.findall("testcase")] == ["f", "i", "p"]
    assert {case.attrib["classname"] for case in suite.findall("testcase")} == {"robustmm.quick"}
    failed, unsure, passed = suite.findall("testcase")
    assert failed[0].attrib == {"type": "FAIL", "message": "accuracy at least 90 % under rain; so it is"}
    assert failed[0].text == failed[0].attrib["message"]
    assert (unsure[0].tag, unsure[0].attrib["message"]) == (
        "skipped", "INCONCLUSIVE: accuracy at least 90 % under rain; few samples",
    )  # fmt: skip
    assert len(passed) == 0
    facts = {p.attrib["name"]: p.attrib["value"] for p in suite.findall("properties/property")}
    assert facts["model_sha256"] == "abc"


def test_without_gates_one_skipped_case_says_so() -> None:
    suite = parsed(render_junit(audit()))
    (case,) = suite.findall("testcase")
    assert case[0].attrib["message"].startswith("no gates were given, so nothing was required of the model")


def test_an_interrupted_audit_is_an_error() -> None:
    suite = parsed(render_partial_junit("PARTIAL: 1 of 2 \x1b <x>"))
    assert suite.attrib["errors"] == "1"
    assert suite[0][0].attrib == {"type": "PARTIAL", "message": "PARTIAL: 1 of 2 � <x>"}


@pytest.mark.parametrize("words", [HOSTILE, "]]>", "\x00\x0b￾", "\ud800", "&lt;"])
def test_hostile_words_are_text(words: str) -> None:
    some = (gate("FAIL", words, requirement=words, reason=words), gate("PASS", words))
    suite = parsed(render_junit(audit(name=words, gates=some)))
    assert len(suite.findall("testcase")) == 2
    for element in suite.iter():
        for value in (*element.attrib.values(), element.text or ""):
            assert "\x1b" not in value
            assert "\u202e" not in value


@given(st.text(max_size=60), st.lists(st.sampled_from(["PASS", "FAIL", "INCONCLUSIVE"]), max_size=6))
def test_it_is_valid_whatever_the_words(words: str, verdicts: list[str]) -> None:
    some = tuple(gate(verdict, words or "x", reason=words, requirement=words) for verdict in verdicts)  # type: ignore[arg-type]
    content = render_junit(audit(conditions=0, name=words, gates=some))
    parsed(content)
    assert content == render_junit(audit(conditions=0, name=words, gates=some))
