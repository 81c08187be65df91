# The dead set of a large store: `snowguard store --dead` beside `nix-store --gc --print-dead`,
# whole programs, on the same store, in the same run, the answers compared path for path.
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
# Seconds and KiB of the best of so many runs: measure RUNS FILE COMMAND…
measure() {
  local runs=$1 answer=$2
  shift 2
  for _ in $(seq "$runs"); do
    /usr/bin/time -f '%e %U %S %M' -o "$out/time" "$@" >"$answer" 2>"$out/errors" || { cat "$out/errors" >&2; exit 1; }
    cat "$out/time"
  done | sort -n | head -1
}
for paths in $BENCH_PATHS; do
  root=$BENCH_DIR/$paths/root
  home=$BENCH_DIR/$paths/home
  read -r seconds user system memory < <(measure 5 "$out/ours" "$BIN/snowguard" store --dead --root "$root")
  sort -o "$out/ours" "$out/ours"
  echo "$paths paths, $(wc -l <"$out/ours") dead"
  echo
  echo "| what | seconds | of them user and system | times as long | peak KiB |"
  echo "|---|---|---|---|---|"
  echo "| \`snowguard store --dead\` | $seconds | $user + $system | 1 | $memory |"
  for peer in $BENCH_PEERS; do
    nix=$LAB/bin/nix-$peer/nix-store
    version=$("$nix" --version | sed 's/.* //')
    read -r theirs u s m < <(NIX_CONF_DIR=$home/etc/nix HOME=$home measure 1 "$out/theirs" "$nix" --store "$root" --gc --print-dead)
    sort "$out/theirs" | cmp - "$out/ours"
    echo "| \`nix-store --gc --print-dead\`, Nix $version | $theirs | $u + $s | $(awk "BEGIN { printf \"%.0f\", $theirs / $seconds }") | $m |"
  done
  echo
done
