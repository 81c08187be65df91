# `snowguard generations` beside `nix-sweep generations`, which also says what each of 60
# generations holds. nix-sweep knows only the real /nix: the store is bound over it, in this mount
# namespace alone. It takes many minutes on large stores: those of more than BENCH_SWEEP_UP_TO paths
# (300,000) are left out.
. tests/bench.d/measure
sweep=$LAB/nix-sweep/bin/nix-sweep
if [ ! -x "$sweep" ] && ! cargo install nix-sweep --version 0.8.0 --locked --root "$LAB/nix-sweep" >"$out/install" 2>&1; then
  tail -3 "$out/install"
  echo "nix-sweep is not available: skipped"
  exit 0
fi
mkdir -p /nix
for paths in $BENCH_PATHS; do
  [ "$paths" -le "${BENCH_SWEEP_UP_TO:-300000}" ] || continue
  root=$BENCH_DIR/$paths/root
  mount --bind "$root/nix" /nix
  printf '%s paths\n\n' "$paths"
  head_of_table
  # shellcheck disable=SC2046
  row '`snowguard generations`' $(measure 5 "$out/ours" "$BIN/snowguard" generations --json)
  # shellcheck disable=SC2046
  row "\`nix-sweep generations\`, $("$sweep" --version | sed 's/.* //')" \
    $(HOME=$BENCH_DIR/$paths/home measure 1 "$out/theirs" "$sweep" generations system)
  umount /nix
  echo
done
