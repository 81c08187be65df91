# The dead set of a large store: `snowguard store --dead` and the full analysis of `snowguard
# generations` (dead set, closures, what each generation holds, the curve of keeping fewer) beside
# `nix-store --gc --print-dead`: whole programs, the same store, the same run, answers compared
# path for path. To reach at 300,000 paths: 64 MiB at most.
. tests/bench.d/measure
for paths in $BENCH_PATHS; do
  root=$BENCH_DIR/$paths/root
  home=$BENCH_DIR/$paths/home
  dead=$(measure 5 "$out/ours" "$BIN/snowguard" store --dead --root "$root")
  sort -o "$out/ours" "$out/ours"
  printf '%s paths, %s dead, a database of %s MB\n\n' "$paths" "$(wc -l <"$out/ours")" \
    "$(($(stat -c %s "$root/nix/var/nix/db/db.sqlite") / 1000000))"
  head_of_table
  # shellcheck disable=SC2086
  row '`snowguard store --dead`' $dead
  # shellcheck disable=SC2046
  row '`snowguard generations`' $(measure 5 "$out/generations" "$BIN/snowguard" generations --json --root "$root")
  for peer in $BENCH_PEERS; do
    [ "$paths" -le "$BENCH_PEERS_UP_TO" ] || continue
    nix=$LAB/bin/nix-$peer/nix-store
    version=$("$nix" --version | sed 's/.* //')
    theirs=$(NIX_CONF_DIR=$home/etc/nix HOME=$home measure 1 "$out/theirs" "$nix" --store "$root" --gc --print-dead)
    [ "$theirs" = none ] || sort "$out/theirs" | cmp - "$out/ours"
    # shellcheck disable=SC2086
    row "\`nix-store --gc --print-dead\`, Nix $version" $theirs
  done
  echo
done
