#!/bin/sh
# Ray Data 2.60.0: a row at which its actor's process ends is tried again and again; the job never ends.
#
# Ray's tasks are tried four times, its actors are not restarted, and `max_errored_blocks` is 0: one
# would guess that a batch whose process dies (out of memory, a fault in native code) fails the job after a few
# attempts. Actors of `map_batches` are started with max_restarts=-1 and max_task_retries=-1, so that
# the batch is given out for ever, without a word. `map_batches(..., max_task_retries=3)` bounds it, and raises; but
# of this one 2.60 says that it is deprecated and goes in 2.64, and none of the parameters it names takes its place.
# Seen: 10 deaths within two minutes (Ray's start among them) and no end; with the bound 4 deaths, then an error.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check 'ray[data]==2.60.0'
cd "$folder"
cat > job.py <<'PYTHON'
import os
import sys

import ray
import ray.data

folder, bound = sys.argv[1], sys.argv[2:]


class Judge:
    def __call__(self, batch):
        if 3 in batch["id"]:
            with open(f"{folder}/deaths-{len(bound)}", "a") as deaths:
                deaths.write("one\n")
            os._exit(1)  # as where memory ran out
        return batch


ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
rows = ray.data.range(8, override_num_blocks=8)
pool = ray.data.ActorPoolStrategy(size=1)
options = {"max_task_retries": 3} if bound else {}
print(rows.map_batches(Judge, batch_size=1, compute=pool, **options).count())
PYTHON
touch deaths-0
env/bin/python job.py "$folder" > without.txt 2>&1 &
job=$!
waited=0
while [ "$(wc -l < deaths-0)" -lt 10 ] && [ "$waited" -lt 180 ]; do
  sleep 1
  waited=$((waited + 1))
done
kill -0 "$job" || { cat without.txt; echo "it ended"; exit 1; }
kill "$job"
wait "$job" || true
echo "without a bound: $(wc -l < deaths-0) deaths in $waited s, and no end"
[ "$(wc -l < deaths-0)" -ge 10 ]
if env/bin/python job.py "$folder" bound > with.txt 2>&1; then echo "it ended well"; exit 1; fi
echo "with max_task_retries=3: $(wc -l < deaths-1) deaths, then $(grep -o 'ActorDiedError\|ActorUnavailableError' with.txt | head -1)"
[ "$(wc -l < deaths-1)" -eq 4 ]
grep -q 'will be removed in Ray 2.64' with.txt
echo "as found"
