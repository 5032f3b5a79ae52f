"""A bulk job that is killed without warning loses nothing and doubles nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from bad_images import make_bad_images
from made_images import blob_image
from trained import Tiny
from workzone.run.bulk import predict_many
from workzone.run.predictor import Predictor

JOB = """
    import sys, time
    from pathlib import Path
    from workzone.run import bulk, sources
    from workzone.run.predictor import load

    bulk.FLUSH_EVERY = 2
    real = sources.read_bytes

    def slow(*arguments, **options):
        time.sleep(0.02)  # so that there is a middle to be killed in
        return real(*arguments, **options)

    sources.read_bytes = slow
    bulk.predict_many(load(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def test_a_killed_job_goes_on_where_it_was(
    tiny: Tiny, predictor: Predictor, tmp_path: Path
) -> None:
    """Killed without warning, twice, in the middle; then left to finish."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(60):
        blob_image(number, number % 2).save(folder / f"{number:02}.png")
    make_bad_images(folder)
    predict_many(predictor, folder, tmp_path / "whole.jsonl")

    output = tmp_path / "scores.jsonl"
    journal = tmp_path / ".scores.jsonl.journal"
    command = [sys.executable, "-c", textwrap.dedent(JOB), tiny.bundle, folder, output]
    lines = 1
    for _ in range(2):
        job = subprocess.Popen([str(part) for part in command])
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            held = len(journal.read_bytes().splitlines()) if journal.exists() else 0
            if held > lines + 12 or job.poll() is not None:
                break
            time.sleep(0.005)
        job.send_signal(signal.SIGKILL)
        job.wait()
        assert not output.exists()
        lines = len(journal.read_bytes().splitlines())
        assert lines > 13
    summary = predict_many(predictor, folder, output)
    assert summary.resumed >= 24
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    quarantines = [path.read_bytes() for path in tmp_path.glob("*.quarantine.csv")]
    assert len(quarantines) == 2
    assert quarantines[0] == quarantines[1]
    ids = [json.loads(line)["id"] for line in output.read_text().splitlines()]
    assert len(ids) == len(set(ids)) == summary.scored
