"""`python -m pyz.metadata`: write native/action.yml with the inputs and outputs of action.yml.

Only the name, the description and the part `runs` differ.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET = ROOT / "action.yml", ROOT / "native" / "action.yml"

_HEADER = "# Written by `make file`: edit ../action.yml.\n"
_RUNS = """runs:
  using: node24
  main: main.cjs
  post: post.cjs
  post-if: always()
"""
_NAME = "name: Airflow DAG Run\n"
_SENTENCE = "let the workflow go on only if it succeeded.\n"


def native_metadata(action: str) -> str:
    """Return the text of native/action.yml for that of action.yml.

    Raises:
        ValueError: if the text does not have its parts where they are expected.
    """
    declared, divider, _ = action.partition("\nruns:\n")
    if not divider or declared.count(_NAME) != 1 or declared.count(_SENTENCE) != 1:
        raise ValueError("action.yml has another name, description or order")
    declared = declared.replace(_NAME, "name: Airflow DAG Run without Docker\n")
    declared = declared.replace(
        _SENTENCE, f"{_SENTENCE}  Needs Python 3.11 or later on the runner, and no Docker.\n"
    )
    return f"{_HEADER}{declared}\n{_RUNS}"


if __name__ == "__main__":
    TARGET.write_text(native_metadata(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
