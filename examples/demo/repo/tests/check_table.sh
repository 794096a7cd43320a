#!/bin/sh
# sh tests/check_table.sh FILE FIELDS: every line of FILE has FIELDS fields
# between `|`, none of them empty, and no line comes twice.
# Lines that start with # are comments. A table without lines is an error.
[ -f "$1" ] || { echo "$1 does not exist"; exit 1; }

rows=0 bad=0 seen='
'
while IFS= read -r line || [ -n "$line" ]; do
    case $line in '#'*) continue ;; esac
    rows=$((rows + 1))
    case "|$line|" in *'||'*) echo "empty field: $line"; bad=1 ;; esac
    case $seen in *"
$line
"*) echo "comes twice: $line"; bad=1 ;; esac
    seen="$seen$line
"
    fields=1 rest=$line
    while [ "$rest" != "${rest#*'|'}" ]; do
        rest=${rest#*'|'}
        fields=$((fields + 1))
    done
    [ "$fields" -eq "$2" ] || { echo "$fields fields, not $2: $line"; bad=1; }
done <"$1"

echo "$1: $rows lines"
[ "$bad" -eq 0 ] && [ "$rows" -gt 0 ]
