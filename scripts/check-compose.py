#!/usr/bin/env python3
"""The checks that scripts/test-compose.sh makes on the running compose project.

check-compose.py times             reads Docker events on stdin and prints how long each service took to become healthy
check-compose.py documents FILE... runs the `curl` commands in the files and requests every localhost URL in them; with
                                   WITHOUT_PAGES=yes, Prometheus may return an error (Debian's has no web pages)
check-compose.py prometheus        checks that Prometheus has every series of the guide, and its rules and alerts
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

PROMETHEUS = "http://localhost:9091"
# The last series appears after traffic, two scrapes and a round of faults.
PATIENCE_SECONDS = 90

# The series of the guide, then our own that exist only if every part of the project works.
MODEL = '{model_name="tiny", target_model_name="tiny"}'
QUERIES = [
    f"inference_model_request_total{MODEL} > 0",
    f'inference_model_request_error_total{{model_name="tiny", error_code="ServiceUnavailable"}} > 0',
    *(
        f"{name}_{part}{MODEL} > 0"
        for name in [
            "inference_model_request_duration_seconds",
            "normalized_time_per_output_token_seconds",
            "inference_model_request_sizes",
            "inference_model_response_sizes",
            "inference_model_input_tokens",
            "inference_model_output_tokens",
        ]
        for part in ["count", "sum", 'bucket']
    ),
    'inference_model_running_requests{model_name="tiny"} >= 0',
    'inference_pool_average_kv_cache_utilization{name="default"} >= 0',
    'inference_pool_average_queue_size{name="default"} >= 0',
    'count(inference_pool_per_pod_queue_size{name="default", model_server_pod=~"vllm-0|vllm-1"}) == 2',
    'inference_pool_ready_pods{name="default"} == 2',
    "inference_extension_info == 1",
    # The LoRA role has loaded its adapters, and they have served requests.
    'count(lora_syncer_adapter_status{adapter_name=~"lora-a|lora-b"} == 1) == 4',
    'inference_model_request_total{model_name="lora-a", target_model_name="lora-a"} > 0',
    # Envoy balances across both servers.
    'count(sum by (instance) (vllm:request_success_total) > 0) == 2',
    # Every target is up.
    "count(up == 1) == 5 and count(up) == 5",
]
GUIDE_ALERTS = {
    "HighInferenceRequestLatencyP99",
    "HighInferenceErrorRate",
    "HighInferencePoolAvgQueueSize",
    "HighInferencePoolAvgKVCacheUtilization",
}


def fail(message):
    sys.exit(f"error: {message}")


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


def prometheus(path, **parameters):
    return json.loads(get(f"{PROMETHEUS}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))["data"]


def times():
    started, healthy = {}, {}
    for line in sys.stdin:
        at, service, action = line.split(maxsplit=2)
        known = started if action.strip() == "start" else healthy if action.strip() == "health_status: healthy" else {}
        known.setdefault(service, int(at))
    for service in sorted(healthy):
        print(f"compose: {service} is healthy after {(healthy[service] - started[service]) / 1e9:.1f} s")


def documents(files):
    commands, addresses = [], set()
    for file in files:
        with open(file, encoding="utf-8") as lines:
            text = lines.read()
        blocks = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
        for block in blocks.findall(text):
            # A command may continue on the next line.
            commands += [line for line in block.replace("\\\n", " ").splitlines() if line.startswith("curl ")]
        addresses.update(re.findall(r"http://localhost:\d+[^\s`)|'\"<>]*", blocks.sub("", text)))
    if not commands or not addresses:
        fail("found no curl commands or no URLs in the documents: has their format changed?")
    for command in commands:
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'curl() {{ command curl -fsS -m 20 "$@"; }}; {command}'],
            capture_output=True,
            text=True,
        )
        if run.returncode != 0 or not run.stdout:
            fail(f"{command}\n{run.stderr or 'no output'}")
    for address in sorted(addresses):
        try:
            get(address)
        except OSError as error:
            responded = isinstance(error, urllib.error.HTTPError)
            if not (responded and address.startswith(PROMETHEUS) and os.environ.get("WITHOUT_PAGES")):
                fail(f"{address}: {error}")
    print(f"compose: {len(commands)} commands and {len(addresses)} URLs in {', '.join(files)} work")


def missing():
    gone = [query for query in QUERIES if not prometheus("query", query=query)["result"]]
    rules = [rule for group in prometheus("rules")["groups"] for rule in group["rules"]]
    gone += [f"rule {rule['name']}: {rule['health']} {rule.get('lastError', '')}" for rule in rules if rule["health"] != "ok"]
    return gone + [f"alert {name}" for name in sorted(GUIDE_ALERTS - {rule["name"] for rule in rules})]


def check_prometheus():
    deadline = time.monotonic() + PATIENCE_SECONDS
    while gone := missing():
        if time.monotonic() > deadline:
            fail("\n  ".join(["Prometheus lacks:", *gone]))
        time.sleep(1)
    rules = sum(len(group["rules"]) for group in prometheus("rules")["groups"])
    print(f"compose: all {len(QUERIES)} queries return series, and {rules} rules evaluate")


match sys.argv[1:]:
    case ["times"]:
        times()
    case ["documents", *files]:
        documents(files)
    case ["prometheus"]:
        check_prometheus()
    case _:
        sys.exit(__doc__)
