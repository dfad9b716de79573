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

#: What each database said that it is at the audit, where it was asked.
_ROLES = """
select name, arg_max(json_extract_string(detail, '$.role'), at_ns) from events
where kind = 'node' and what = 'stands' group by name
"""

_LAST_PROMOTED = """
select node, at_ns from snapshots where moment = 'promoted' order by at_ns desc, node limit 1
"""

_PROMOTED_BY = """
select node from snapshots where moment = 'promoted' and at_ns <= ?
order by at_ns desc, node limit 1
"""

_FIRST_PRIMARY = """
select node from samples where metric = 'database_is_primary' and value = 1 and node is not null
order by at_ns, node limit 1
"""

#: The newest transition that each database holds in the end, committed after a moment (`$1`, ns).
_NEWEST = """
select node, max({'epoch': epoch, 'at_us': at_us}) as newest from commits
where moment = 'end' and node is not null
  and at_us > coalesce((select zero_wall_us from meta), 0) + $1 // 1000
group by node order by newest desc, node
"""

_BEFORE_ALL_NS = -(2**62)


def read_nodes(run: Run) -> set[str]:
    """Databases that were read at the end, or before they were made anew."""
    return {node for (node,) in run.rows(_READ)}


def were_primary(run: Run) -> set[str]:
    """Databases that are known to have taken writes at some time."""
    promoted = run.rows("select distinct node from snapshots where moment = 'promoted'")
    return {node for (node,) in (*run.rows(_WERE_PRIMARY), *promoted)}


def primaries_in_the_end(run: Run) -> list[str]:
    """Databases that say of themselves in the end that they take writes, sorted.

    What they say at the audit counts, where any of them was asked then: one that was not is gone.
    Else it is the last sample of each.
    """
    roles = {node: role for node, role in run.rows(_ROLES) if role is not None}
    if roles:
        return sorted(node for node, role in roles.items() if role == "primary")
    return sorted(node for node, is_primary in run.rows(_AT_LAST) if is_primary)


def last_primary(run: Run) -> str | None:
    """The database that services wrote to in the end.

    Of several that say that they take writes, it is the one with the newest commits of the last
    epoch; where none of them has any that are newer than the last promotion, the one that was
    promoted then. None where that does not tell them apart, or there is none.
    """
    promoted = run.rows(_LAST_PROMOTED)
    node: str | None
    node, at_ns = promoted[0] if promoted else (None, _BEFORE_ALL_NS)
    found = primaries_in_the_end(run)
    if len(found) == 1 and node is None:
        return found[0]
    newest = [row for row in run.rows(_NEWEST, [at_ns]) if row[0] in {*found, node}]
    best: list[str] = [each for each, commit in newest if commit == newest[0][1]]
    return best[0] if len(best) == 1 else node


def primary_at(run: Run, at_ns: int) -> str | None:
    """The database that took writes at a moment: the last one promoted by then, or the first.

    None where nobody wrote down which was the first.
    """
    promoted: str | None = run.one(_PROMOTED_BY, [at_ns])
    if promoted is not None:
        return promoted
    first: str | None = run.one(_FIRST_PRIMARY)
    return first


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
