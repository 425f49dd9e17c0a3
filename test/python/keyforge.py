"""What a test asks of KeyForge itself: the key with nothing left, and how often a refusal was given."""

import os
import re
import urllib.request
from contextlib import contextmanager

SPENT_KEY = os.environ["KEYFORGE_SPENT_KEY"]
WRONG_KEY = "vk_nobody"


def _requests(code):
    text = urllib.request.urlopen(os.environ["KEYFORGE_METRICS_URL"] + "/metrics").read().decode()
    lines = re.findall(r"^keyforge_requests_total\{(.*)\} (\d+)$", text, re.MULTILINE)
    return sum(int(count) for labels, count in lines if f'code="{code}"' in labels)


@contextmanager
def refused_once(test, code):
    """Fails unless KeyForge gave this refusal exactly once: the client did not retry."""
    before = _requests(code)
    yield
    test.assertEqual(_requests(code) - before, 1, f"times that KeyForge refused with {code}")
