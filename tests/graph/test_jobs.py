"""Jobs over a real Ray: replicas that die in the middle, and a service that starts anew on the same folder."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pymupdf
import pytest
import ray
from ray import serve
from ray.util.state import list_actors

pytestmark = pytest.mark.ray

PAGES = 40
