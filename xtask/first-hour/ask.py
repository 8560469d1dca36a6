"""What a newcomer asks in Python of a run under way: a finished state, and a later one."""

import sys
import time

import hypostyle

with hypostyle.open(sys.argv[1]) as region:
    with region.pin() as first:
        before, mean = first.frame, float(first["height"].z.mean())
    end, later = time.monotonic() + 60, before
    while later <= before:
        assert time.monotonic() < end, "the run stands still"
        time.sleep(0.05)
        with region.pin() as snapshot:
            later = snapshot.frame
print(f"frame {before}: mean height {mean:.3f} m; later frame {later}")
