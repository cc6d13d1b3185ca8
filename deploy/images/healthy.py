"""HEALTHCHECK of the images that serve: exit code 0 when the server in this container says it is healthy."""

import os
import sys
import urllib.request

url = f"http://127.0.0.1:{os.environ['AIP_HTTP_PORT']}{os.environ['AIP_HEALTH_ROUTE']}"
token = os.environ.get("INTERLOCK_TOKEN", "")
request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
try:
    with urllib.request.urlopen(request, timeout=3) as answer:
        healthy = answer.status == 200
except OSError as error:
    sys.exit(f"{url}: {error}")
sys.exit(0 if healthy else 1)
