# How time grows with the store: the same program on every size. To reach: 12 times at most from
# 100,000 to 1,000,000 paths.
. tests/bench.d/measure
echo "| paths | \`store --dead\`, seconds | times those of the size before | user + system | \`generations\`, seconds | times | user + system |"
echo "|---|---|---|---|---|---|---|"
before="" ; before_held=""
for paths in $BENCH_PATHS; do
  root=$BENCH_DIR/$paths/root
  read -r dead user system _ < <(measure 7 /dev/null "$BIN/snowguard" store --dead --root "$root")
  read -r held u s _ < <(measure 5 /dev/null "$BIN/snowguard" generations --json --root "$root")
  echo "| $paths | $dead | ${before:+$(ratio "$dead" "$before")} | $user + $system | $held | ${before_held:+$(ratio "$held" "$before_held")} | $u + $s |"
  before=$dead before_held=$held
  case $paths in
    100000) tenth="$dead $held" ;;
    1000000)
      # shellcheck disable=SC2086
      [ -z "${tenth:-}" ] || { set -- $tenth; grown="From 100,000 to 1,000,000 paths: $(ratio "$dead" "$1") and $(ratio "$held" "$2") times"; } ;;
  esac
done
printf '\n%s\n' "${grown:-Without both 100000 and 1000000 in BENCH_PATHS there is no figure for ten times the paths}"
