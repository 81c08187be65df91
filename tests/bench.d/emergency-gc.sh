# An emergency: so much must be freed that a part of what is dead suffices. `snowguard gc --free`
# and `snowguard watch` beside `nix-store --gc --max-freed` and `nix-collect-garbage -d`, each on a
# fresh copy of the same ext4. What is dead has content; all else is empty. Every dead path is old
# enough to go, and Nix's reserve is away at first, so that it counts for nobody.
#
# It must be a file system that lists a directory in an order of its own: Nix deletes what it comes
# upon, and tmpfs lists the newest first, which in a store made by a program are the dead.
# To reach: 20 times as fast as either peer to the target, at most 10 % more freed than asked for,
# no generation lost.
#
#   BENCH_FREE="256 512"   MiB to be freed; all that is dead holds some 1000
. tests/bench.d/measure
mnt=$out/mnt image=$BENCH_DIR/emergency.img
mkdir -p "$mnt" /nix
trap 'umount -l /nix "$mnt" 2>/dev/null || true; rm -rf "$out" "$image" "$image.copy"' EXIT
now() { date +%s%3N; }
avail() { echo $(($(stat -f -c '%a * %S' "$mnt"))); }
# Bytes for the dead: 16 KiB each, of each tenth 256 KiB, of each hundred-and-fiftieth 4 MiB.
fatten() {
  local every=$1 kib=$2
  awk -v every="$every" 'NR % every == 0' "$out/dead" | sed "s|^|$mnt/root|" |
    xargs -d '\n' sh -c 'head -c "$0" /dev/zero | tee "$@" >/dev/null' "${kib}K"
}
# The image that each begins with a copy of.
make() {
  truncate -s 6G "$image"
  mkfs.ext4 -q -F -N 1200000 "$image"
  mount -o loop "$image" "$mnt"
  cp -a "$root" "$mnt/root"
  rm -f "$mnt/root/nix/var/nix/db/reserved"
  fatten 1 16; fatten 10 256; fatten 150 4096
  umount "$mnt"
}
fresh() {
  umount -l "$mnt" 2>/dev/null || true
  cp --sparse=always "$image" "$image.copy"
  mount -o loop "$image.copy" "$mnt"
  sync
  # Warm for all alike.
  ls -f "$mnt/root/nix/store" >/dev/null
  cat "$mnt/root/nix/var/nix/db/db.sqlite" >/dev/null
}
# contest NAME COMMAND…: one row.
contest() {
  local name=$1 before begun reached="" ended freed left pid
  shift
  fresh
  before=$(avail)
  begun=$(now)
  timeout "${BENCH_TIMEOUT:-900}" "$@" >"$out/said" 2>&1 &
  pid=$!
  while kill -0 $pid 2>/dev/null; do
    if [ -z "$reached" ] && [ "$(avail)" -ge $((before + target)) ]; then reached=$(($(now) - begun)); fi
    sleep 0.02
  done
  wait $pid || { [ $? = 124 ] || { tail -5 "$out/said" >&2; return 1; }; }
  ended=$(($(now) - begun))
  freed=$(($(avail) - before))
  if [ -z "$reached" ] && [ $freed -ge $target ]; then reached=$ended; fi
  left=$(ls "$mnt/root/nix/var/nix/profiles" | grep -c '^system-[0-9]*-link$')
  [ -n "$first" ] || first=$reached
  echo "| $name | ${reached:-not reached} | $ended | $(ratio "${reached:-$ended}" "$first") | $((freed >> 20)) | $(awk "BEGIN { printf \"%.1f\", ($freed - $target) * 100 / $target }") % | $((generations - left)) of $generations |"
}
for paths in $BENCH_PATHS; do
  [ "$paths" -le "$BENCH_PEERS_UP_TO" ] || continue
  root=$BENCH_DIR/$paths/root home=$BENCH_DIR/$paths/home
  "$BIN/snowguard" store --dead --root "$root" >"$out/dead"
  rm -f "$image"
  make
  generations=$(ls "$root/nix/var/nix/profiles" | grep -c '^system-[0-9]*-link$')
  for peer in $BENCH_PEERS; do for mebibytes in ${BENCH_FREE-256 512}; do
    target=$((mebibytes << 20))
    nix=$LAB/bin/nix-$peer
    first=""
    printf '%s paths, %s dead, %s MiB to be freed, %s, load %s\n\n' "$paths" "$(wc -l <"$out/dead")" \
      "$mebibytes" "$("$nix/nix-store" --version | sed 's/.*(Nix) /Nix /')" "$(cut -d' ' -f1 /proc/loadavg)"
    echo "| what | to the target, ms | to the end, ms | times the first's | freed, MiB | beyond the target | generations lost |"
    echo "|---|---|---|---|---|---|---|"
    printf '[watchdog]\nnix_bin = "%s"\n[gc]\nkeep_recent = "0s"\nballast = "0B"\n' "$nix" >"$out/hand.toml"
    contest '`snowguard gc --free`' "$BIN/snowguard" gc --free ${mebibytes}MiB --yes --root "$mnt/root" --config "$out/hand.toml"
    # The watchdog, from the line of the journal that says what tripped to the one that says done.
    fresh
    free=$(avail)
    printf 'groups:\n- name: g\n  rules:\n  - alert: SpaceLow\n    expr: nix_store_filesystem_avail_bytes < snowguard_gc_trigger_bytes\n    labels: {remedy: gc}\n' >"$mnt/root/r.rules.yaml"
    printf '[watchdog]\nnix_bin = "%s"\ninterval = "1s"\n[rules]\nfiles = ["/r.rules.yaml"]\n[exporter]\ncollectors = { substituter_probes = false }\n[gc]\nmode = "act"\nkeep_recent = "0s"\nballast = "0B"\ntrigger = "%sB"\ntarget = "%sB"\ntrigger_files = "0%%"\ntarget_files = "1%%"\n' \
      "$nix" $((free + 1048576)) $((free + target)) >"$out/watch.toml"
    "$BIN/snowguard" watch --root "$mnt/root" --config "$out/watch.toml" >"$out/said" 2>&1 &
    watchdog=$!
    journal=$mnt/root/var/lib/snowguard/journal.jsonl
    for _ in $(seq "${BENCH_TIMEOUT:-900}"); do
      grep -q '"step":"\(done\|failed\|refused\)"' "$journal" 2>/dev/null && break
      kill -0 $watchdog || break
      sleep 1
    done
    kill $watchdog; wait $watchdog || true
    at() { grep -m1 "\"step\":\"$1\"" "$journal" | sed 's/.*"at_ms":\([0-9]*\).*/\1/'; }
    if tripped=$(at trip) && reached=$(at done); then
      freed=$(($(avail) - free))
      left=$(ls "$mnt/root/nix/var/nix/profiles" | grep -c '^system-[0-9]*-link$')
      took=$((reached - tripped))
      echo "| \`snowguard watch\`, from trip to done | $took | $took | $(ratio $took "$first") | $((freed >> 20)) | $(awk "BEGIN { printf \"%.1f\", ($freed - $target) * 100 / $target }") % | $((generations - left)) of $generations |"
    else
      tail -5 "$out/said" >&2
      echo '| `snowguard watch` | not reached | | | | | |'
    fi
    export NIX_CONF_DIR=$home/etc/nix HOME=$home
    contest '`nix-store --gc --max-freed`' "$nix/nix-store" --store "$mnt/root" --gc --max-freed $target
    # It knows no other profiles than those of /nix: the copy is bound over it, in this mount
    # namespace alone.
    contest '`nix-collect-garbage -d`' sh -c 'mount --bind "$0" /nix && [ /nix/var/nix/db -ef "$0/var/nix/db" ] && exec "$1" -d' "$mnt/root/nix" "$nix/nix-collect-garbage"
    umount -l /nix 2>/dev/null || true
    echo
  done; done
done
