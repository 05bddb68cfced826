#!/usr/bin/env bash
# What the 2021 grader calls.
set -euo pipefail
cd "$(dirname "$0")"
exec python predict.py
