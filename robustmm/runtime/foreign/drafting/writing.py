"""A draft as the TOML of a description."""

from textwrap import wrap

from robustmm.config.toml import to_toml
from robustmm.errors import printable
from robustmm.modalities import KINDS
from robustmm.runtime.foreign.description import fitting_options, known_defaults
from robustmm.runtime.foreign.drafting.draft import DescriptionDraft
from robustmm.runtime.foreign.drafting.kinds import Draft

WIDTH = 80

HEADER = """\
# The inputs and outputs of a model, as `robustmm describe` guesses them.
# Go through every CHECK, then:
# robustmm audit MODEL.onnx --describe THIS.toml --data MANIFEST
"""


def format_draft(draft: DescriptionDraft) -> str:
    """The TOML, with a `# CHECK:` line above what a person must check."""
    checks = draft.checks
    head = _format_entry("classes", draft.classes, checks.get("classes", ""))
    head += _format_entry("prior", draft.prior or None, checks.get("prior", ""))
    output = [line for key, value in draft.output.items() for line in _format_entry(key, value, checks.get(key, ""))]
    parts = [HEADER + "\n".join(head), "\n".join(["[output]", *output]), *map(_format_table, draft.modalities)]
    parts += [f"# CHECK: nobody feeds {to_toml({'input': name}).strip()}; make it a constant" for name in draft.unfed]
    return "\n\n".join(parts) + "\n"


def count_checks(text: str) -> int:
    """How many lines of a draft a person must check."""
    return sum(line.startswith("# CHECK:") for line in text.splitlines())


def _format_table(draft: Draft) -> str:
    checks, table, shared = dict(draft.checks), dict(draft.table), ""
    if "columns" in checks and "columns" not in table and "mean" in table:  # so that a split copies no numbers
        head = to_toml({"input": {table["input"]: {}}}).strip()
        shared = "\n".join([f"\n\n{head}", *(_format_line(key, table.pop(key)) for key in ("mean", "std"))])
    lines = [line for key, value in table.items() for line in _format_entry(key, value, checks.pop(key, ""))]
    lines += [line for check in checks.values() for line in _format_comment(f"CHECK: {check}")]
    if choices := format_choices(draft):
        lines += _format_comment(f"CHECK: a file becomes this input by {choices}")
    return "\n".join([f"[modality.{draft.name}]", *lines]) + shared


def format_choices(draft: Draft) -> str:
    """The keys that say how a file is fitted, with their values and the others that they may have."""
    found = []
    for key, options in fitting_options(draft.kind).items():
        if key not in draft.table and key not in draft.settled:
            value = known_defaults(draft.kind).get(key, KINDS[draft.kind].model_fields[key].default)
            rest = ", ".join(f'"{option}"' for option in options if option != value)
            found.append(f'{key} = "{value}" (or {rest})')
    return ", ".join(found)


def _format_entry(key: str, value: object, check: str) -> list[str]:
    lines = _format_comment(f"CHECK: {check}") if check else []
    return lines if value is None else [*lines, _format_line(key, value)]


def _format_comment(text: str) -> list[str]:
    """A comment, which may quote labels and columns of a stranger's manifest: TOML forbids controls in it too."""
    lines = wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
    return [printable(line) for line in lines]


def _format_line(key: str, value: object) -> str:
    """`key = value`, a long list on several lines."""
    line = to_toml({key: value}).strip()
    if len(line) <= WIDTH or not isinstance(value, list) or not all(isinstance(item, float) for item in value):
        return line
    numbers = line.partition("[")[2].removesuffix("]")
    return "\n".join([f"{key} = [", *wrap(numbers, WIDTH, initial_indent="  ", subsequent_indent="  "), "]"])
