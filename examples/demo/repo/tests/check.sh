# What a test may say. Loaded by run.sh before each test file.

# check WHAT EXPECTED ACTUAL
check() {
    if [ "$2" = "$3" ]; then
        echo "ok     $1"
        echo ok >>"$WORK/tally"
    else
        echo "FAILED $1: expected '$2', got '$3'"
        echo bad >>"$WORK/tally"
    fi
}

# refuses WHAT COMMAND...: the command must fail
refuses() {
    what=$1
    shift
    if "$@" >/dev/null 2>&1; then
        check "$what" "an error" "success"
    else
        check "$what" "an error" "an error"
    fi
}
