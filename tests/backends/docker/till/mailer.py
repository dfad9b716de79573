"""A part of the project that is no node: it says whether it reaches the PSP, and waits to end."""

import os
import signal
import urllib.error
import urllib.request

try:
    urllib.request.urlopen(f"{os.environ['PSP_URL']}/v1/payment_intents", timeout=10)
except urllib.error.HTTPError as error:
    print(f"the PSP answers {error.code}", flush=True)  # no key was given
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
signal.pause()
