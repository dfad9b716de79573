"""A scenario file as a collector, and its claims as tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from payresil.core import registry
from payresil.core.problems import InvalidScenario
from payresil.core.results import CheckResult, Doubt, Exit, Outcome, Verdict
from payresil.core.scenario import Scenario
from payresil.engine.lints import lint
from payresil.engine.prometheus.finding import refuse_address
from payresil.engine.refusal import Refusal
from payresil.engine.resolving import resolve
from payresil.engine.scenario_file import load_scenario
from payresil.engine.scenario_process import Choices, Left, NoVerdict
from payresil.pytest_plugin.settings import choices_of, runs_of
from payresil.render import result_lines as lines
from payresil.render.again import DEFAULT_BACKEND, again

_RUN_CLAIM = "Nothing broke, and the run went all the way."
_RUN_CHECK = "run"  # what a verdict calls the check of the run itself

#: Takes the result that a test is about from the verdict.
Pick = Callable[[Verdict], CheckResult | None]

_imported_key = pytest.StashKey[bool]()


class ScenarioFile(pytest.File):
    """A scenario; it runs when the first of its tests is set up."""

    _left: Left | None = None

    def collect(self) -> Iterator[ScenarioTest]:
        """A test for the run, one per fault, one per check."""
        scenario = self._load()
        yield self._test(f"{_RUN_CHECK}: {_RUN_CLAIM}", _RUN_CHECK, _of_run)
        for n, fault in enumerate(scenario.faults):
            claim = registry.faults.get(fault.fault).claim
            yield self._test(f"fault {fault.id} bit: {claim}", fault.id, _nth_fault(n))
        times: dict[str, int] = {}
        for n, check in enumerate(scenario.checks):
            times[check.checker] = nth = times.get(check.checker, 0) + 1
            name = check.checker if nth == 1 else f"{check.checker}.{nth}"
            claim = registry.checkers.get(check.checker).claim
            yield self._test(f"{name}: {claim}", name, _nth_check(n))

    def run_once(self) -> Left:
        """What the scenario left; run now unless it was already."""
        if self._left is None:
            self._left = runs_of(self.config).run_once(self.path, choices_of(self.config))
        return self._left

    def _load(self) -> Scenario:
        choices = choices_of(self.config)
        try:
            _import_once(self.config, choices.imports)
            scenario = load_scenario(self.path, flaw=choices.flaw, seed=choices.seed)
            _check(scenario, choices)
        except (InvalidScenario, Refusal, OSError, ImportError, ValueError) as error:
            raise self.CollectError(str(error)) from None
        return scenario

    def _test(self, name: str, member: str, pick: Pick) -> ScenarioTest:
        # Two colons would split the name of the test on a command line.
        name = name.replace("::", ":")
        test: ScenarioTest = ScenarioTest.from_parent(self, name=name, member=member, pick=pick)
        return test


class ScenarioTest(pytest.Item):
    """One claim about a run: what is undecided fails, what broke is an error, nothing is skipped.

    `member` names what the test is about, and `pick` finds it in the verdict.
    """

    parent: ScenarioFile

    def __init__(self, *, member: str, pick: Pick, **more: Any) -> None:
        """Made by `ScenarioFile.collect`."""
        super().__init__(**more)
        self._member = member
        self._pick = pick
        self._result: CheckResult | None = None

    def setup(self) -> None:
        """Run the scenario unless it was; an error when that carries no verdict on this claim."""
        left = self.parent.run_once()
        try:
            verdict = left.verdict()
        except NoVerdict as error:
            self._stop(str(error))
        self._result = result = self._pick(verdict)
        if result is None or result.name != self._member:
            self._stop(f"the verdict says nothing of {self._member}: did the file change?")
        if result.findings:
            return  # a violation is one, whatever happened later
        if verdict.broken is not None:
            self._stop(f"the run broke: {verdict.broken}")
        if verdict.interrupted:
            self._stop("the run was interrupted: there is no verdict to trust")

    def runtest(self) -> None:
        """Fail unless the claim was judged and held."""
        result = self._result
        if result is None:
            raise RuntimeError("a test runs after it was set up")
        self._tell_measures(result)
        if result.outcome is Outcome.FAIL:
            found = [*lines.finding_lines(result), *lines.doubt_lines(result)]
            message = f"FAIL: {lines.failure_message(result)}"
        elif result.outcome is Outcome.INCONCLUSIVE:
            found = list(lines.doubt_lines(result))
            message = f"INCONCLUSIVE: {lines.doubt_message(result)}"
        else:
            return
        self._stop(message, lines.claim_line(result), "", *found)

    def reportinfo(self) -> tuple[Path, None, str]:
        """The scenario file and the name."""
        return self.path, None, self.name

    def _tell_measures(self, result: CheckResult) -> None:
        self.user_properties += [(measure.name, measure.value) for measure in result.measures]
        if result.measures:
            self.add_report_section("call", "measured", "\n".join(lines.measure_lines(result)))

    def _stop(self, *said: str) -> NoReturn:
        """Fail, or in `setup` be an error, with words instead of a traceback."""
        left = self.parent.run_once()
        meta = left.meta() or asdict(choices_of(self.config))
        last = [f"again: {again(meta, str(self.path))}"]
        if left.folder is not None:
            last.append(f"report: {Path(left.folder) / 'report.html'}")
        pytest.fail("\n".join([*said, "", *last]), pytrace=False)


def _check(scenario: Scenario, choices: Choices) -> None:
    """Say what its run would refuse, before any test of it is there.

    Raises:
        InvalidScenario: with what is wrong in the scenario, its system file or the attach file.
        Refusal: with what is wrong among the options.
    """
    if choices.prometheus is not None:
        refuse_address(choices.prometheus)
    at = None if choices.at is None else Path(choices.at)
    found = resolve(scenario, choices.backend or DEFAULT_BACKEND, at)
    if found.cannot:
        raise InvalidScenario(found.cannot)
    lint(scenario, found.system, found.topology)


def _of_run(verdict: Verdict) -> CheckResult | None:
    """The check of the run; not green where the exit status is red and no other result shows it."""
    result = next((check for check in verdict.checks if check.name == _RUN_CHECK), None)
    green = all(each.outcome is Outcome.PASS for each in (*verdict.checks, *verdict.faults))
    if result is None or not green or verdict.exit_status == Exit.PASS:
        return result
    doubt = Doubt(f"every claim held, and the exit status is {verdict.exit_status}")
    return replace(result, outcome=Outcome.INCONCLUSIVE, doubts=(doubt,))


def _nth_fault(n: int) -> Pick:
    return lambda verdict: verdict.faults[n] if n < len(verdict.faults) else None


def _nth_check(n: int) -> Pick:
    return lambda verdict: verdict.checks[n] if n < len(verdict.checks) else None


def _import_once(config: pytest.Config, files: tuple[str, ...]) -> None:
    """Load the user's own members, so that scenarios can name them."""
    if not config.stash.get(_imported_key, False):
        for file in files:
            registry.import_file(Path(file))
        config.stash[_imported_key] = True
