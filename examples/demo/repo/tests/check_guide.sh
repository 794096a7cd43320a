#!/bin/sh
# sh tests/check_guide.sh FILE: run each `$ command` in the code blocks of a
# Markdown file and compare what it prints with the lines below it.
cd "$(dirname "$0")/.." || exit 2
[ -f "$1" ] || { echo "$1 does not exist"; exit 1; }

count=0 bad=0 command='' expected=''
compare() {
    [ -n "$command" ] || return 0
    count=$((count + 1))
    actual=$(sh -c "$command" 2>&1 </dev/null)
    if [ "$actual" = "$expected" ]; then
        echo "ok     $command"
    else
        printf 'FAILED %s\nexpected:\n%s\ngot:\n%s\n' "$command" "$expected" "$actual"
        bad=$((bad + 1))
    fi
    command='' expected=''
}

while IFS= read -r line; do
    case $line in
        '```'*) compare ;;
        '$ '*) compare; command=${line#'$ '} ;;
        *) [ -z "$command" ] || expected=${expected:+"$expected
"}$line ;;
    esac
done <"$1"
compare

echo "$count commands, $bad wrong"
[ "$bad" -eq 0 ] && [ "$count" -gt 0 ]
