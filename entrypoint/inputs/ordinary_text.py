"""Find secrets that occur in ordinary text, which then is masked as well. Pure.

Each line of a secret is masked wherever it occurs, also inside a word. So a password that is a
common word hides half of the log, and GitHub drops each job output that contains it. Nothing more
becomes known by a warning about that: the masks in the log already show it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrypoint.inputs.credentials import header_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_COMMON = """
dag dags run runs dag_run dag_id run_id task tasks instance state queued running success succeeded
failed failure failing error errors warning notice skipped removed cancelled timeout triggered
checked scheduled manual retry try trying log logs summary result results output outputs reason
airflow apache scheduler worker executor trigger triggerer webserver server pool slot queue version
bundle commit branch main master repository workflow workflows github action actions job jobs step
gate deploy deployment release build pipeline event push pull request schedule nightly daily hourly
admin administrator user users username root guest op viewer public password passwd pass secret
secrets token key keys login credential test tests testing demo example sample default changeme
change_me letmein welcome qwerty abc123 123456789012345 postgres mysql redis docker kubernetes local
localhost internal dev development staging stage production prod qa uat ci cd api http https www com
org net home data database table file files folder path name names value values type date time
start started end ended wait waiting extract transform load import export report sales python java
line lines module function class object list string number true false null none yes no ok done info
debug trace traceback exception critical fatal the and for with from that this not was has have are
will can may all any new old more of in on to at by is it be as or if no so up we you your its after
before because while which what when where who how other one two three first last next then still
{"run_id": ["1", 2], "a": {}}, [], () (a/b) [x] 'y' a=b;
0:00 - 2026-01-31T00:00:00.123456+00:00 0123456789 % # * _ .
"""
"""Words and characters of most logs, and passwords of many examples."""
_SPOKEN = tuple({_COMMON, _COMMON.title(), _COMMON.upper()})
_PLAIN_INPUTS = ("airflow_url", "dag_id", "run_id", "username", "environment")
"""Inputs whose text appears in the log or in the outputs."""
_SECRET_INPUTS = ("token", "password", "client_secret")


def ordinary_secrets(
    inputs: Mapping[str, str], texts: Iterable[str], min_chars: int = 1
) -> Iterator[str]:
    """Yield the name of each input with a secret that occurs in ordinary text.

    Args:
        inputs: text by input name.
        texts: other texts that the log shows, for example the name of the repository.
        min_chars: characters of the shortest text that is masked.
    """
    shown = [*_SPOKEN, *texts, *(inputs.get(name, "") for name in _PLAIN_INPUTS)]
    for name in _SECRET_INPUTS:
        if _occurs(inputs.get(name, "").splitlines(), shown, min_chars):
            yield name
    if _occurs(header_values(inputs.get("headers", "")), shown, min_chars):
        yield "headers"


def _occurs(secrets: Iterable[str], texts: list[str], min_chars: int) -> bool:
    masked = (secret for secret in map(str.strip, secrets) if len(secret) >= max(min_chars, 1))
    return any(secret in text for secret in masked for text in texts)
