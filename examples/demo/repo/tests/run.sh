#!/bin/sh
# sh tests/run.sh [NAME...]: run tests/test_NAME.sh, or every test.
# Fails when a test fails, and when there is nothing to run.
cd "$(dirname "$0")/.." || exit 2
WORK=$(mktemp -d) || exit 2
trap 'rm -rf "$WORK"' EXIT
export WORK
: >"$WORK/all"

if [ $# -eq 0 ]; then
    for file in tests/test_*.sh; do
        name=${file#tests/test_}
        set -- "$@" "${name%.sh}"
    done
fi

failed=0
for name in "$@"; do
    file=tests/test_$name.sh
    echo "# $name"
    if [ ! -f "$file" ]; then
        echo "FAILED $file does not exist"
        failed=1
        continue
    fi
    : >"$WORK/tally"
    PARCEL_BOOK=$WORK/$name.book sh -euc '. tests/check.sh; . "$1"' sh "$file"
    status=$?
    if [ "$status" -ne 0 ]; then
        echo "FAILED $file stopped with status $status"
        failed=1
    elif [ ! -s "$WORK/tally" ]; then
        echo "FAILED $file checks nothing"
        failed=1
    fi
    cat "$WORK/tally" >>"$WORK/all"
done

bad=0 good=0
while read -r result; do
    if [ "$result" = ok ]; then good=$((good + 1)); else bad=$((bad + 1)); fi
done <"$WORK/all"
echo "$good passed, $bad failed"
[ "$failed" -eq 0 ] && [ "$bad" -eq 0 ] && [ "$good" -gt 0 ]
