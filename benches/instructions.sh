#!/usr/bin/env bash
# Counts the instructions of `plan --dry-run` at several sizes: a figure that repeats exactly, unlike time.
# Needs valgrind. `benches/instructions.sh [BINARY]`; the binary is the release build unless given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v valgrind >/dev/null; then
    echo "skipped: valgrind is not installed"
    exit 0
fi
binary="${1:-target/release/slimductor}"
if [ ! -x "$binary" ]; then cargo build --locked --release; fi
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
plan() { # tasks
    printf 'tasks:\n'
    for ((i = 0; i < $1; i++)); do
        printf '  - id: task-%05d\n    description: "Part %d"\n    run: "make part-%d"\n' "$i" "$i" "$i"
        printf '    files_write: ["src/m%02d/t%d_a.rs", "src/m%02d/t%d_b.rs"]\n' $((i % 97)) "$i" $((i % 97)) "$i"
        printf '    files_read: ["docs/shared%d.md"]\n    resources_write: ["route:/svc/%d"]\n' $((i % 20)) "$i"
        if ((i >= 10)); then printf '    depends_on: [task-%05d]\n' $((i - 10)); fi
        printf '    verification: [{command: "cargo test -p m%02d", type: test}]\n' $((i % 97))
    done
}
printf '%-14s %18s\n' "tasks" "instructions"
for tasks in 1 10 100 1000 10000; do
    plan "$tasks" >"$scratch/$tasks.yaml"
    valgrind --tool=callgrind --callgrind-out-file="$scratch/out" "$binary" \
        plan --dry-run -q -C "$scratch" "$scratch/$tasks.yaml" >/dev/null 2>"$scratch/log"
    count="$(sed -n 's/^summary: //p; s/^totals: //p' "$scratch/out" | head -1)"
    printf '%-14s %18s\n' "$tasks" "$count"
done
