"""Which databases took writes, and which of them was read at which moment."""

from __future__ import annotations

from payresil.core.run import Run

_READ = """
select distinct node from (
  select moment, node from snapshots union all select moment, node from commits
) where moment in ('end', 'before_rejoin') and node is not null order by node
"""

_WERE_PRIMARY = """
select distinct node from samples where metric = 'database_is_primary' and value = 1
  and node is not null order by node
"""

#: What each database last said of itself.
_AT_LAST = """
select node, arg_max(value, at_ns) = 1 as is_primary from samples
where metric = 'database_is_primary' group by node
"""

#: Whom each database said at the audit that it streams from.
_SOURCES = """
select name, arg_max(json_extract_string(detail, '$.source'), at_ns) from events
where kind = 'node' and what = 'stands' group by name
"""

_LAST_PROMOTED = """
select node from snapshots where moment = 'promoted' order by at_ns desc, node limit 1
"""


def read_nodes(run: Run) -> set[str]:
    """Databases that were read at the end, or before they were made anew."""
    return {node for (node,) in run.rows(_READ)}


def were_primary(run: Run) -> set[str]:
    """Databases that are known to have taken writes at some time."""
    promoted = run.rows("select distinct node from snapshots where moment = 'promoted'")
    return {node for (node,) in (*run.rows(_WERE_PRIMARY), *promoted)}


def last_primary(run: Run) -> str | None:
    """The database that took writes in the end: the last one promoted, or the only primary.

    None when several say that they are it, or none does.
    """
    promoted: str | None = run.one(_LAST_PROMOTED)
    if promoted is not None:
        return promoted
    found = [node for node, is_primary in run.rows(_AT_LAST) if is_primary]
    return found[0] if len(found) == 1 else None


def standbys(run: Run, primary: str) -> list[str]:
    """Databases read at the end that stream from the primary, directly or through others, sorted.

    One that came back and follows nobody, or another former primary, is no standby of it.
    """
    sources = {node: source for node, source in run.rows(_SOURCES) if source is not None}
    nodes = run.rows("select distinct node from snapshots where moment = 'end' order by node")
    return [node for (node,) in nodes if primary in _upstream(node, sources)]


def _upstream(node: str, sources: dict[str, str]) -> set[str]:
    """Whom a database streams from, whom that one does, and so on."""
    found: set[str] = set()
    while (source := sources.get(node)) is not None and source not in found:
        found.add(source)
        node = source
    return found
