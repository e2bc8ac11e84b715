"""Gates as JUnit XML: a gate is a test case, FAIL a failure, INCONCLUSIVE a skipped case.

After the schema that Jenkins' xUnit plugin publishes, which GitLab and GitHub's actions read. There are no times, so
that the same audit gives the same bytes.
"""

from xml.etree import ElementTree as ET

from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.results.verdict import GateResult
from robustmm.errors import printable
from robustmm.report.summary.gates import rank_gates

NO_GATES = "no gates were given, so nothing was required of the model: give some with --gates FILE"


def render_junit(result: AuditResult) -> bytes:
    """The audit as one test suite. Without gates it has one skipped case that says so: a suite without cases would
    pass everywhere."""
    suite = _open_suite(f"{result.suite} on {result.model}")
    properties = ET.SubElement(suite, "properties")
    for name in ("model", "model_sha256", "suite", "suite_sha256", "gates_sha256", "data_sha256"):
        ET.SubElement(properties, "property", name=name, value=printable(getattr(result, name)))
    for gate in rank_gates(result.gates):
        _add_case(suite, gate, result.suite)
    if not result.gates:
        _skip(ET.SubElement(suite, "testcase", name="gates", classname=_class_name(result.suite)), NO_GATES)
    return _close_suite(suite)


def render_partial_junit(said: str) -> bytes:
    """An interrupted audit: one case that is an error, so that nobody takes it for one that passed."""
    suite = _open_suite("robustmm audit")
    case = ET.SubElement(suite, "testcase", name="audit", classname="robustmm")
    ET.SubElement(case, "error", type="PARTIAL", message=printable(said)).text = printable(said)
    return _close_suite(suite)


def _add_case(suite: ET.Element, gate: GateResult, named: str) -> None:
    case = ET.SubElement(suite, "testcase", name=printable(gate.name), classname=_class_name(named))
    said = printable(f"{gate.requirement}; {gate.reason}")
    if gate.verdict == "FAIL":
        ET.SubElement(case, "failure", type="FAIL", message=said).text = said
    elif gate.verdict == "INCONCLUSIVE":
        _skip(case, f"INCONCLUSIVE: {said}")


def _skip(case: ET.Element, said: str) -> None:
    ET.SubElement(case, "skipped", message=said)


def _class_name(suite: str) -> str:
    return printable(f"robustmm.{suite}")


def _open_suite(name: str) -> ET.Element:
    return ET.Element("testsuite", name=printable(name))


def _close_suite(suite: ET.Element) -> bytes:
    """The suite, counted, as a whole document."""
    counts = {"tests": str(len(suite.findall("testcase")))}
    for outcome, word in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        counts[outcome] = str(len(suite.findall(f"testcase/{word}")))
    suite.attrib |= counts
    whole = ET.Element("testsuites", {key: counts[key] for key in ("tests", "failures", "errors")})
    whole.append(suite)
    ET.indent(whole)
    content: bytes = ET.tostring(whole, encoding="utf-8", xml_declaration=True)
    return content + b"\n"
