"""The worker of a study: runs its claims one after the other; imports JAX, as the worker of cells does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from multiprocessing.connection import Connection

from bench import store
from bench.bad_input import closest
from bench.cells import ClaimCell, claim_group
from bench.study.claim import Claim, Outcome
from bench.study.registry import known_claims
from bench.study.tables import frames_of
from bench.worker import Worker, serve


def main(connection: Connection, payload: dict[str, object]) -> None:
    """Run what is missing of a study; messages to the parent tell what happens (see bench.child.Message)."""
    serve(StudyWorker, connection, payload)


class StudyWorker(Worker):
    """One pass over the claims of a suite."""

    def known(self) -> Mapping[str, Claim]:
        """All claims there are, by name."""
        return known_claims()

    def memory_hint(self, width: int) -> str:
        """A claim has no width to lessen."""
        return " Free memory on this machine, then use --resume."

    def work(self, platform: str, began: float) -> None:
        """Plan, then every claim that is not finished."""
        known, wanted = self.known(), self.suite.claims
        names = list(known) if wanted == "all" else list(wanted or [])
        strangers = [f"claims[{place}]: unknown name (got {name!r}). {closest(name, known)}"
                     for place, name in enumerate(names) if name not in known]
        if strangers:
            self.say(kind="error", code=2, text="\n".join(strangers))
            return
        claims = [claim for claim in known.values() if claim.name in names]
        self._plan_claims(claims, platform, time.perf_counter() - began)
        for claim in claims:
            self.run_claim(claim)
        self.say(kind="done")

    def run_claim(self, claim: Claim) -> None:
        """Measure one claim and store what came of it, or say how it failed."""
        group = claim_group(claim.name)
        if group not in self.finished:
            self.say(kind="progress", done=self.done, total=self.total, text=f"claim {claim.number}: {claim.name}",
                     group=group)
            began, began_cpu = time.perf_counter(), time.process_time()
            try:
                outcome = claim.run(self.suite.seed)
                if not isinstance(outcome, Outcome):
                    raise TypeError(f"{claim.name}: must return an Outcome (got {type(outcome).__name__}).")
                tables = frames_of(claim, outcome, time.perf_counter() - began, time.process_time() - began_cpu)
            except Exception as error:  # one claim's failure must not cost the others
                self.failed(group, error)
            else:
                store.write_group(self.folder, group, tables)
                self.say(kind="group", group=group)
        self.done += 1.0

    def _plan_claims(self, claims: list[Claim], platform: str, opened_s: float) -> None:
        cells: list[ClaimCell] = [
            {"claim": claim.name, "number": claim.number, "statement": claim.statement, "device": platform,
             "status": "pending", "note": ""} for claim in claims]
        self.total = float(len(claims))
        self.say(kind="plan", cells=cells, problems={}, environment=self.facts(opened_s), total=self.total,
                 device=platform, lines=[f"{self.suite.name}: {len(claims)} claims on {platform}"])
