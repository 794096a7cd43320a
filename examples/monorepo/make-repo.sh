#!/bin/sh
# sh make-repo.sh DIR: make a git repository of 40 small Python packages, with history, in DIR.
# Always the same commits: authors and dates are fixed, and no git configuration of yours is read.
set -eu

[ $# -eq 1 ] || { echo "usage: sh make-repo.sh DIR" >&2; exit 2; }
if [ -e "$1" ] && [ -n "$(ls -A "$1")" ]; then
    echo "$1 is not empty" >&2
    exit 1
fi
mkdir -p "$1"
cd "$1"

umask 022
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_COMMON_DIR GIT_TEMPLATE_DIR
unset GIT_CONFIG_PARAMETERS GIT_CONFIG_COUNT GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_CONFIG_NOSYSTEM=1
export GIT_DEFAULT_HASH=sha1

commits=0
commit() { # commit AUTHOR MESSAGE: all changes, two working hours after the last commit
    when="$((1767258000 + commits * 7200)) +0000" # from 2026-01-01 09:00 UTC
    commits=$((commits + 1))
    git add -A
    GIT_AUTHOR_NAME=$1 GIT_AUTHOR_EMAIL="$1@example.org" GIT_AUTHOR_DATE=$when \
        GIT_COMMITTER_NAME=$1 GIT_COMMITTER_EMAIL="$1@example.org" GIT_COMMITTER_DATE=$when \
        git -c commit.gpgsign=false -c core.hooksPath=/dev/null -c gc.auto=0 commit -q -m "$2"
}

# One package in a line:
# name|depends|imports|parameters|value returned|arguments|result|arguments|result|summary
packages() {
    case $1 in
        text) cat <<'END' ;;
fold|||value|" ".join(value.split()).casefold()|"  Hello   World "|"hello world"|"STRASSE"|"strasse"|Squeeze white space and ignore case
words||re|value|re.findall(r"\w+", value)|"one, two"|["one", "two"]|"..."|[]|The words of a text
reverse|||value|value[::-1]|"abc"|"cba"|""|""|A text from back to front
slug|text-fold text-words||value|"-".join(words(fold(value)))|"Hello, World!"|"hello-world"|"A  b"|"a-b"|A name for an address
title|text-words||value|" ".join(word.capitalize() for word in words(value))|"a tale of two"|"A Tale Of Two"|"x"|"X"|Every word with a capital
initials|text-words||value|"".join(word[0].upper() for word in words(value))|"ada lovelace"|"AL"|"x"|"X"|The first letters of the words
mirror|text-reverse||value|value + reverse(value)|"ab"|"abba"|"x"|"xx"|A text and its reflection
frequency|text-fold text-words|collections|value|dict(collections.Counter(words(fold(value))))|"a b A"|{"a": 2, "b": 1}|""|{}|How often each word comes
END
        calc) cat <<'END' ;;
mean|||values|sum(values) / len(values)|[1, 2, 6]|3.0|[5]|5.0|The arithmetic mean
median||statistics|values|statistics.median(values)|[3, 1, 2]|2|[1, 2]|1.5|The value in the middle
spread|||values|max(values) - min(values)|[4, 9, 1]|8|[7]|0|Between the largest and the smallest
variance|calc-mean||values|mean([(value - mean(values)) ** 2 for value in values])|[1, 3]|1.0|[2, 2]|0.0|The mean squared distance from the mean
deviation|calc-variance|math|values|math.sqrt(variance(values))|[1, 3]|1.0|[0, 8]|4.0|The standard deviation
scale|calc-spread||values|[(value - min(values)) / (spread(values) or 1) for value in values]|[2, 4, 3]|[0.0, 1.0, 0.5]|[7]|[0.0]|Values between 0 and 1
shares|||values|[value / sum(values) for value in values]|[1, 3]|[0.25, 0.75]|[5]|[1.0]|Each value as a part of the whole
rank|||values|[sorted(values).index(value) + 1 for value in values]|[30, 10, 20]|[3, 1, 2]|[5, 5]|[1, 1]|The place of each value in order
END
        list) cat <<'END' ;;
unique|||items|list(dict.fromkeys(items))|[2, 1, 2]|[2, 1]|[]|[]|Each item once, in order
flatten||itertools|items|list(itertools.chain.from_iterable(items))|[[1], [2, 3]]|[1, 2, 3]|[]|[]|One list of many
chunk|||items, size|[items[start:start + size] for start in range(0, len(items), size)]|[1, 2, 3], 2|[[1, 2], [3]]|[], 2|[]|Pieces of a fixed size
window|||items, size|[items[start:start + size] for start in range(len(items) - size + 1)]|[1, 2, 3], 2|[[1, 2], [2, 3]]|[1], 2|[]|All neighbours of a fixed number
rotate|||items, steps|items[steps % (len(items) or 1):] + items[:steps % (len(items) or 1)]|[1, 2, 3], 1|[2, 3, 1]|[], 4|[]|Move the front to the back
weave|list-flatten||first, second|flatten(zip(first, second))|[1, 2], [8, 9]|[1, 8, 2, 9]|[], []|[]|Take from two lists in turn
common|list-unique||first, second|[item for item in unique(first) if item in second]|[3, 1, 3], [1, 3]|[3, 1]|[1], []|[]|What two lists share
steps|list-window||items|[later - earlier for earlier, later in window(items, 2)]|[1, 4, 9]|[3, 5]|[1]|[]|The differences between neighbours
END
        date) cat <<'END' ;;
ordinal||datetime|day|datetime.date.fromisoformat(day).toordinal()|"0001-01-01"|1|"2026-01-01"|739617|The number of a day
shift||datetime|day, days|(datetime.date.fromisoformat(day) + datetime.timedelta(days)).isoformat()|"2026-02-28", 1|"2026-03-01"|"2026-01-01", -1|"2025-12-31"|Some days later or earlier
between|date-ordinal||start, end|ordinal(end) - ordinal(start)|"2026-01-01", "2026-03-01"|59|"2024-01-01", "2024-03-01"|60|The days from one day to another
weekday|date-ordinal||day|"Sun Mon Tue Wed Thu Fri Sat".split()[ordinal(day) % 7]|"2026-01-01"|"Thu"|"2024-02-29"|"Thu"|The day of the week
weekend|date-weekday||day|weekday(day) in ("Sat", "Sun")|"2026-01-03"|True|"2026-01-05"|False|Whether nobody works
week||datetime|day|datetime.date.fromisoformat(day).isocalendar()[1]|"2026-01-01"|1|"2027-01-01"|53|The week of the year
quarter||datetime|day|(datetime.date.fromisoformat(day).month + 2) // 3|"2026-03-31"|1|"2026-10-01"|4|The quarter of the year
tomorrow|date-shift||day|shift(day, 1)|"2026-12-31"|"2027-01-01"|"2024-02-28"|"2024-02-29"|The next day
END
        code) cat <<'END' ;;
hex|||value|value.encode("utf-8").hex()|"abc"|"616263"|""|""|Bytes as hexadecimal digits
rot||codecs|value|codecs.encode(value, "rot13")|"Hello"|"Uryyb"|"123"|"123"|Letters moved by thirteen
crc||zlib|value|zlib.crc32(value.encode("utf-8"))|"abc"|891568578|""|0|A checksum of 32 bits
digest||hashlib|value|hashlib.sha256(value.encode("utf-8")).hexdigest()[:12]|"abc"|"ba7816bf8f01"|""|"e3b0c44298fc"|A short fingerprint
markup||html|value|html.escape(value)|"a < b"|"a &lt; b"|"x"|"x"|Safe between HTML elements
address||urllib.parse|value|urllib.parse.quote(value, safe="")|"a b/c"|"a%20b%2Fc"|"x"|"x"|Safe in a URL
label|text-slug code-crc||value|f"{slug(value)}-{crc(value):08x}"|"abc"|"abc-352441c2"|"A b"|"a-b-b8211a33"|A readable name that is hardly given twice
runs||itertools|value|[[item, len(list(run))] for item, run in itertools.groupby(value)]|"aab"|[["a", 2], ["b", 1]]|""|[]|Repetitions as numbers
END
    esac
}

package() { # package GROUP TABLE_LINE
    IFS='|' read -r name depends imports params value args1 want1 args2 want2 summary <<END
$2
END
    id=$1-$name
    module=$1_$name
    dir=packages/$id
    mkdir -p "$dir/src/$module" "$dir/tests"

    cat >"$dir/package.txt" <<END
name: $id
version: 1.0.0
summary: $summary
owner: team-$1
depends:${depends:+ $depends}
END
    cat >"$dir/README.md" <<END
# $id

$summary.
END
    cat >"$dir/CHANGELOG.md" <<END
# Changes of $id

## 1.0.0

- First version
END
    cat >"$dir/src/$module/__init__.py" <<END
"""$summary."""

from .core import $name

__all__ = ["$name"]
END
    {
        echo "\"\"\"$summary.\"\"\""
        echo
        [ -z "$imports" ] || printf 'import %s\n\n' "$imports"
        if [ -n "$depends" ]; then
            for other in $depends; do
                echo "from ${other%-*}_${other#*-} import ${other#*-}"
            done
            echo
        fi
        cat <<END

def $name($params):
    """$summary."""
    return $value
END
    } >"$dir/src/$module/core.py"

    # Of the command line, text is taken as it is where everything is text.
    case $1 in
        text | code) parse='return text' ;;
        *) parse='try:
        return json.loads(text)
    except ValueError:
        return text' ;;
    esac
    {
        printf '"""python3 -m %s ARGUMENT..."""\n\n' "$module"
        case $1 in text | code) ;; *) echo "import json" ;; esac
        cat <<END
import sys

from .core import $name


def parse(text):
    $parse


def main(arguments):
    print($name(*[parse(text) for text in arguments]))


if __name__ == "__main__":
    main(sys.argv[1:])
END
    } >"$dir/src/$module/__main__.py"

    cat >"$dir/tests/test_$module.py" <<END
import unittest

from $module import $name

CASES = [
    (($args1,), $want1),
    (($args2,), $want2),
]


class Test(unittest.TestCase):
    def test_cases(self):
        for arguments, expected in CASES:
            with self.subTest(arguments=arguments):
                self.assertEqual($name(*arguments), expected)


if __name__ == "__main__":
    unittest.main()
END
    cat >"$dir/tests/test_${module}_main.py" <<END
import contextlib
import io
import json
import unittest

from $module.__main__ import main
from test_$module import CASES


def run(*arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        main([text if isinstance(text, str) else json.dumps(text) for text in arguments])
    return output.getvalue()


class MainTest(unittest.TestCase):
    def test_it_prints_the_result(self):
        for arguments, expected in CASES:
            with self.subTest(arguments=arguments):
                self.assertEqual(run(*arguments), f"{expected}\\n")


if __name__ == "__main__":
    unittest.main()
END
}

author() { # author GROUP
    case $1 in
        text | code) echo ines ;;
        calc | date) echo jonas ;;
        *) echo kaya ;;
    esac
}

git init -q .
git symbolic-ref HEAD refs/heads/main

cat >.gitignore <<'END'
__pycache__/
*.pyc
END
cat >.editorconfig <<'END'
root = true

[*]
end_of_line = lf
insert_final_newline = true
indent_style = space
indent_size = 4
END
cat >README.md <<'END'
# Small things

Many small Python packages in one repository. Python 3.8 or newer, standard library only.

- `packages/<group>-<name>/` one package: `package.txt`, `src/`, `tests/`
- `tools/` what works on all of them
- `docs/` conventions and the groups

`python3 tools/run_tests.py` runs all tests, `python3 tools/run_tests.py 'text-*'` those of some packages.
END
mkdir -p docs tools
cat >docs/conventions.md <<'END'
# Conventions

- A package does one thing, with one function that has the package's name.
- `package.txt` says its name, version, summary, owner and the packages it depends on.
- A package imports only what it depends on, and the standard library.
- Its tests are in `tests/`, in files whose names start with `test_<group>_<name>`.
END
commit kaya "Start with conventions"

cat >tools/run_tests.py <<'END'
"""python3 tools/run_tests.py [PATTERN...]: run the tests of packages, or all and those of the tools.

Fails when a test fails, when a pattern names no package, and when there is nothing to run.
"""

import fnmatch
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main(patterns):
    packages = sorted(path.parent for path in ROOT.glob("packages/*/package.txt"))
    sys.path[:0] = [str(package / "src") for package in packages]

    folders = []
    for pattern in patterns or ["*"]:
        matching = [path / "tests" for path in packages if fnmatch.fnmatchcase(path.name, pattern)]
        if not matching:
            print(f"no package is called {pattern}", file=sys.stderr)
            return 1
        folders += [path for path in matching if path not in folders]
    if not patterns and (ROOT / "tools" / "tests").is_dir():
        folders.append(ROOT / "tools" / "tests")

    suite = unittest.TestSuite()
    empty = []
    for folder in folders:
        tests = unittest.TestLoader().discover(str(folder), top_level_dir=str(folder))
        if not tests.countTestCases():
            empty.append(folder)
        suite.addTests(tests)
    for folder in empty:
        print(f"without tests: {folder.relative_to(ROOT)}", file=sys.stderr)
    result = unittest.TextTestRunner().run(suite)
    return 0 if result.wasSuccessful() and not empty else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
END
commit kaya "A test runner for all packages"

for group in text calc list date code; do
    packages "$group" | {
        first=''
        while IFS= read -r line; do
            package "$group" "$line"
            if [ -z "$first" ]; then
                first=$id
            else
                commit "$(author "$group")" "Add $first and $id"
                first=''
            fi
        done
    }
    commits=$((commits + 4)) # those were counted in a subshell
done

cat >docs/groups.md <<'END'
# Groups

| group | about | owner |
|---|---|---|
| `text-*` | words and letters | team-text |
| `calc-*` | numbers | team-calc |
| `list-*` | sequences | team-list |
| `date-*` | days and weeks | team-date |
| `code-*` | one form into another | team-code |
END
cat >OWNERS <<'END'
packages/text-*  team-text
packages/calc-*  team-calc
packages/list-*  team-list
packages/date-*  team-date
packages/code-*  team-code
END
commit kaya "Groups and their owners"

release() { # release PACKAGE CHANGE: a minor version
    {
        printf '# Changes of %s\n\n## 1.1.0\n\n- %s\n\n## 1.0.0\n\n- First version\n' "$1" "$2"
    } >"packages/$1/CHANGELOG.md"
    while IFS= read -r line; do
        case $line in version:*) line='version: 1.1.0' ;; esac
        printf '%s\n' "$line"
    done <"packages/$1/package.txt" >package.new
    cat package.new >"packages/$1/package.txt"
    rm package.new
}
release calc-scale "One value is scaled to 0 instead of dividing by it"
commit jonas "calc-scale 1.1.0"
release list-rotate "An empty list may be rotated"
commit kaya "list-rotate 1.1.0"

echo "$(git ls-files | wc -l | tr -d ' ') files, $(git rev-list --count HEAD) commits, $(git rev-parse HEAD)"
