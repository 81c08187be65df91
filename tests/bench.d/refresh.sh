# What the exporter and the watchdog do at each look: bring the kept graph up to date, after some
# paths came and after a collection, beside a full analysis of the same store in the same run.
# The median of seven. On a copy, for the database is changed.
copy=$(mktemp -d -p "$BENCH_DIR")
trap 'rm -rf "$copy"' EXIT
for paths in $BENCH_PATHS; do
  # A smaller store has not enough leaves to delete.
  [ "$paths" -ge 100000 ] || continue
  rm -rf "$copy/root"
  cp -a --reflink=auto "$BENCH_DIR/$paths/root" "$copy/root"
  "$BIN/examples/refresh_time" "$copy/root"
  echo
done
