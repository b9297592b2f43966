"""Opening a run folder: a new run, or the one in it where it is the same experiment."""

from __future__ import annotations

from pathlib import Path

from bench import environment, machines, store
from bench.bad_input import show
from bench.child import Message
from bench.shards import Shard
from bench.store import FolderError, Run
from bench.suite import NO_PART, Suite, config_hash
from bench.suite_fields import ALL

ELSEWHERE = "Undo the change, or add --force-new to start in a new folder beside it."


def opened(suite: Suite, folder: Path, device: str, resume: bool, shard: Shard | None = None, processes: int = 1
           ) -> Run:
    """The manifest of the run to do in a folder that is locked, written there; `processes`: of all its hosts.

    Raises:
        FolderError: the folder is used and `resume` is not set, or its run is another experiment (the difference said).
    """
    new = _new_run(suite, device, shard, processes)
    if not resume or store.is_unused(folder):
        store.create(folder, new)
        return new
    run = store.read_run(folder)
    differences = _differences(run, new)
    if differences:
        raise FolderError(f"{folder}: --resume: its run is another experiment (got {'; '.join(differences[:10])}). "
                          + ELSEWHERE)
    run["resumed"] = [*run.get("resumed", []), environment.utc_now()]
    run["config"], run["finished"] = new["config"], None
    (folder / "parts").mkdir(exist_ok=True)
    store.write_run(folder, run)
    return run


def place_for(suite: Suite, folder: Path, device: str, resume: bool, shard: Shard | None = None, processes: int = 1
              ) -> Path:
    """Where --force-new runs: the folder if it is unused or can be resumed, else the first unused one beside it."""
    if resume and not store.is_unused(folder):
        try:
            if not _differences(store.read_run(folder), _new_run(suite, device, shard, processes)):
                return folder
        except FolderError:  # not a run folder: leave it alone
            return store.next_free(folder)
    return store.next_free(folder)


def check_plan(folder: Path, run: Run, message: Message) -> None:
    """Refuse a plan with other data of its problems, or another device, than the run began with.

    A merged run may go on on another machine: it tells them apart.
    """
    counts = [environment.get("device_count") for environment in (run["environment"], message["environment"])]
    if run["config"].get("devices") == ALL and None not in counts and counts[0] != counts[1]:
        raise FolderError(f"{folder}: --resume: the devices that share the lanes changed (got {counts[1]}, was "
                          f"{counts[0]}). Give as many, or start in another folder with --out.")
    changed = [] if "environments" in run else machines.differences(run["environment"], message["environment"])
    if changed:
        raise FolderError(f"{folder}: --resume: the device changed (got {'; '.join(changed)}). Give the same, or start "
                          "in another folder with --out.")
    for name, now in message["problems"].items():
        before = run["problems"].get(name, now)
        if before.get("data_sha256") != now.get("data_sha256"):
            raise FolderError(f"{folder}: --resume: the data of {name} changed (got {now.get('data_sha256')}, "
                              f"was {before.get('data_sha256')}). Start in another folder with --out.")


def config_changes(before: Run, now: Run) -> list[str]:
    """What makes the configs of two runs two experiments, as texts."""
    if before["config_hash"] == now["config_hash"]:
        return []
    old, new = before["config"], now["config"]
    texts = [f"{key}: {show(old.get(key))} -> {show(new.get(key))}"
             for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key) and key not in NO_PART]
    return texts or ["config_hash: run.json was edited"]


def _new_run(suite: Suite, device: str, shard: Shard | None, processes: int) -> Run:
    run: Run = {
        "schema": store.SCHEMA, "suite": suite.name, "config": suite.config(), "config_hash": config_hash(suite),
        "command": environment.command_line(), "started": environment.utc_now(), "finished": None, "device": device,
        "environment": environment.describe({"processes": processes}), "mark_ratio": {}, "problems": {}, "cells": [],
        "warnings": [],
    }
    if shard is not None:
        run["shard"] = list(shard)
    return run


def _differences(before: Run, now: Run) -> list[str]:
    texts = config_changes(before, now)
    if now["device"] != "auto" and before["device"] not in ("auto", now["device"]):
        texts.append(f"device: {before['device']} -> {now['device']}")
    processes = [each["environment"].get("processes", 1) for each in (before, now)]
    if processes[0] != processes[1]:
        texts.append(f"processes: {processes[0]} -> {processes[1]}")
    if before.get("shard") != now.get("shard"):
        texts.append(f"shard: {_words(before)} -> {_words(now)}")
    known = before.get("environments", [before["environment"]])
    # XLA's flags are those of the worker, which `check_plan` looks at: some follow from the config
    here = {key: value for key, value in now["environment"].items() if key != "settings"}
    changes = [environment.changes(each, here, processor=False) + machines.differences(each, here) for each in known]
    return texts + ([] if [] in changes else changes[0] if changes else [])


def _words(run: Run) -> str:
    return "/".join(map(str, run["shard"])) if "shard" in run else "none"
