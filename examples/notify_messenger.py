"""Tells a messenger what `solver.notify_command` hands on: the line of each finished epoch.

    export MESSENGER_URL=https://slack.com/api/chat.postMessage MESSENGER_TOKEN=... MESSENGER_CHANNEL=training
    ascendvsr train --config-file F solver.notify_command "python examples/notify_messenger.py"

It posts {"text": LINE}, with "channel" where one is named, and the token as a bearer token, as Slack, Mattermost
and others want it. The token stands in the environment only: settings are written beside what a run makes.
"""

import json
import os
import sys
import urllib.error
import urllib.request


def main() -> int:
    missing = [name for name in ("MESSENGER_URL", "MESSENGER_TOKEN") if not os.environ.get(name)]
    if missing:
        print(f"notify_messenger: set {' and '.join(missing)} in the environment", file=sys.stderr)
        return 2
    message = {"text": sys.stdin.read().strip()}
    if channel := os.environ.get("MESSENGER_CHANNEL"):
        message["channel"] = channel
    request = urllib.request.Request(
        os.environ["MESSENGER_URL"],
        data=json.dumps(message).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['MESSENGER_TOKEN']}",
            "Content-Type": "application/json; charset=utf-8",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30):
            return 0
    except (urllib.error.URLError, TimeoutError) as error:
        print(f"notify_messenger: the messenger did not take it: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
