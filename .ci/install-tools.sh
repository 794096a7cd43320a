#!/usr/bin/env bash
# Puts what tests/cli/ecosystems.rs needs below $SLIMDUCTOR_TEST_TOOLS: a Python with pytest and mypy, and tsc.
# What is there already stays. Prints one line for each tool; fails when one cannot be had.
set -euo pipefail
tools="${SLIMDUCTOR_TEST_TOOLS:?names the directory to fill}"
mkdir -p "$tools"

venv="$tools/venv"
if ! "$venv/bin/python" -c 'import pytest, mypy, fastapi, httpx' 2>/dev/null; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check 'pytest==8.*' 'mypy==1.*' 'fastapi<1' 'httpx<1'
fi
node="$tools/node"
if ! "$node/node_modules/.bin/tsc" --version >/dev/null 2>&1; then
    # A package of its own: npm else looks for one in the directories above.
    mkdir -p "$node"
    echo '{"private": true}' >"$node/package.json"
    npm install --prefix "$node" --cache "$tools/npm-cache" --silent --no-audit --no-fund 'typescript@5'
fi

"$venv/bin/python" --version
"$venv/bin/pytest" --version
"$venv/bin/mypy" --version
echo "tsc $("$node/node_modules/.bin/tsc" --version)"
echo "node $(node --version)"
