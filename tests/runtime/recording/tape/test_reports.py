"""The report of a replay, whatever becomes of the process that makes it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from greenroom.runtime.recording.tape.report import Drift, ReportFile, Tally, read_report_file

from .programs import Programs


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


def test_a_program_that_kills_itself_leaves_the_report_of_what_it_did(programs: Programs) -> None:
    text = """
        import os, random
        @tool
        def number(at):
            return at
        for at in range(COUNT):
            number(at)
        READ
        os.kill(os.getpid(), 9)
    """
    programs.write(text.replace("COUNT", "3").replace("READ", ""))
    recorded = programs.run("record")
    assert len(recorded.tape.crossings) == 3
    report = programs.run("replay", recorded.tape).report
    assert (report.exact, report.is_exact) == (3, True)
    programs.write(text.replace("COUNT", "2").replace("READ", "random.random()"))
    report = programs.run("replay", recorded.tape).report
    assert (report.exact, report.unused, report.missing, report.is_exact) == (2, 1, 1, False)


def test_threads_of_a_child_process_report_at_once(programs: Programs) -> None:
    programs.write(
        """
        from concurrent.futures import ThreadPoolExecutor
        @tool
        def number(at):
            return at
        with ThreadPoolExecutor(8) as pool:
            print(sum(pool.map(number, range(200))))
    """,
        "child.py",
    )
    programs.write("import subprocess, sys\nsubprocess.run([sys.executable, 'child.py'], check=True)\n")
    recorded = programs.run("record")
    assert recorded.output == "19900\n"
    replayed = programs.run("replay", recorded.tape)
    assert (replayed.code, replayed.output) == (0, recorded.output)
    assert replayed.report.exact == 200


def test_reports_that_are_written_at_once_are_whole(tmp_path: Path) -> None:
    file, report = ReportFile(str(tmp_path / "0.report")), Tally()

    def write() -> None:
        for _ in range(50):
            file.write(report, waiting=2)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(os.listdir(tmp_path)) == ["0.report", "0.report.counts"]
    assert read_report_file(tmp_path / "0.report")["unused"] == 2


def test_what_is_written_with_an_answer_is_read_without_an_end(tmp_path: Path) -> None:
    path, report = str(tmp_path / "0.report"), Tally()
    file = ReportFile(path)
    for at in range(1, 1100):
        report.exact += 1
        if at % 10 == 0:
            report.tell(Drift("tool", "number", "agent.py:3", at, "drifted", "1 → 2"))
        file.write(report, waiting=1100 - at)
        found = read_report_file(path)
        assert (found["exact"], found["drifted"], found["unused"]) == (at, at // 10, 1100 - at)
        assert [each["number"] for each in found["drifts"]] == [10 * each for each in range(1, min(20, at // 10) + 1)]
    report.refused = "stopped"
    file.write(report)
    assert read_report_file(path)["refused"] == "stopped"
    file.write(report, is_last=True)
    assert read_report_file(path) == report.to_dict()
