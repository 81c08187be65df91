# Instructions of `snowguard store --dead`, counted by callgrind: they repeat to within 0.1 % where
# seconds do not. Held to tests/bench.d/instructions.txt: 5 % more fails, if it was counted with
# the same compiler for the same target. SNOWGUARD_BLESS=1 writes the file anew.
. tests/bench.d/measure
kept=tests/bench.d/instructions.txt
compiler=$(rustc -vV | awk '/^(host|release):/ { print $2 }' | sort -r | paste -sd ' ')
count() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null "$BIN/snowguard" store --dead --root "$1" 2>&1 >/dev/null |
    awk '/Collected :/ { print $NF }'
}
failed=0
: >"$out/new"
echo "| paths | instructions | again | kept in the file | of it |"
echo "|---|---|---|---|---|"
for paths in $BENCH_PATHS; do
  [ "$paths" -le 100000 ] || continue
  root=$BENCH_DIR/$paths/root
  now=$(count "$root")
  again=$(count "$root")
  echo "$paths $now $compiler" >>"$out/new"
  read -r was with < <(awk -v paths="$paths" '$1 == paths { print $2, $3, $4 }' "$kept" 2>/dev/null || true) || true
  if [ -z "${was:-}" ]; then
    echo "| $paths | $now | $again | none | |"
    continue
  fi
  echo "| $paths | $now | $again | $was | $(awk "BEGIN { printf \"%.1f %%\", 100 * $now / $was }") |"
  if [ "$with" != "$compiler" ]; then
    echo "The file's count is by $with, this one by $compiler: not compared." >&2
  elif awk "BEGIN { exit !($now > 1.05 * $was) }"; then
    failed=1
  fi
done
if [ -n "${SNOWGUARD_BLESS:-}" ]; then
  sort -n "$out/new" >"$kept"
elif [ "$failed" = 1 ]; then
  echo "more than 5 % above $kept; cure: find out what costs them (callgrind_annotate), or, if they are worth it, SNOWGUARD_BLESS=1" >&2
  exit 1
fi
