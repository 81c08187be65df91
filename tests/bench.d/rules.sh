# The rules: one evaluation over a full window, and their unit tests beside promtool's run of the
# same files.
. tests/bench.d/measure
"$BIN/examples/rules_time" rules
echo
head_of_table
# shellcheck disable=SC2046
row '`snowguard rules test`' $(measure 5 /dev/null "$BIN/snowguard" rules test rules/tests/*.test.yaml)
# shellcheck disable=SC2046
row '`promtool test rules`' $(measure 5 /dev/null "$LAB/bin/promtool3" test rules rules/tests/*.test.yaml)
