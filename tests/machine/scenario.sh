# From a machine that is not there yet to the report of a scenario. Sourced by run.
# Of this computer's clock, against a machine that hangs; what takes how long is measured inside.
deadline=${SNOWGUARD_DEADLINE:-1200}
ticks=$(getconf CLK_TCK)
packed_kernel=$(echo "$LAB"/debian-machine/boot/vmlinuz-*)

# Everything that the prepared machine is made of. Scenarios, and what they are written in, are given
# to it when it runs.
key() {
  local parts=(initrd disk.sh machine.sh guest/agent guest/prepare guest/settle guest/machine-agent.service
    guest/nixos-upgrade.service guest/updater guest/snowguard.toml system)
  (
    cd "$here/tests/machine"
    find "${parts[@]}" -type f | sort | xargs cat -- "$here/nixos-module/systemd/snowguard.service" \
      "$bin/snowguard" "$bin/snowguard-exporter" "$LAB/bin/qemu" "$packed_kernel"
  ) | sha256sum
}

# Boots the machine twice and puts it aside: its memory, its disk.
prepare() {
  local dir=$prepared
  said=0 spent=0
  start "$dir"
  heard "$dir" "$deadline" '^@(ready|end)' || true
  if [ "$heard" != @ready ]; then
    echo "the machine does not come up: $heard" >&2
    plug_out
    tail -n 40 "$dir/line" "$dir/console" "$dir/qemu" >&2
    exit 1
  fi
  ask "$dir" stop
  ask "$dir" migrate "\"uri\": \"file:$prepared/memory\""
  answered "$dir" query-migrate '"status": "completed"'
  plug_out
}

run_scenario() { # NAME MODE
  local name=$1 mode=$2 dir=$work/$1.$2 title begun=$SECONDS spent=0 end=failed
  title=$(sed -n '1s/^# //p' "$here/tests/machine/scenarios/$name")
  mkdir "$dir"
  cp --sparse=always --reflink=auto "$prepared/disk" "$dir/disk"
  said=0
  start "$dir" -incoming defer
  ask "$dir" migrate-incoming "\"uri\": \"file:$prepared/memory\""
  answered "$dir" query-status '"status": "paused"'
  say "$dir/line.in" "$name $mode $scenarios"
  ask "$dir" cont
  while heard "$dir" $deadline '^@(cut|end)'; do
    case $heard in
      @cut*)
        plug_out
        # The clock of the mainboard goes on.
        start "$dir" -rtc "base=$(date -u -d "@${heard#@cut }" +%FT%T),clock=vm"
        ;;
      '@end passed') end=passed; break ;;
      *) break ;;
    esac
  done
  plug_out
  if [ $end = passed ] && ! outside "$name" "$mode" "$dir" >"$dir/outside" 2>&1; then end=failed; fi
  {
    printf '%s  %s, mode %s: %s (%s s, %s s of a processor)\n' "$end" "$name" "$mode" "$title" \
      $((SECONDS - begun)) $((spent / ticks))
    if [ $end = passed ]; then
      touch "$dir/passed"
      grep -h '^  from the first' "$dir/line" || true
    else
      [ "$heard" != nothing ] || echo "  the machine said nothing more within $deadline s"
      cat "$dir/line" "$dir/outside" 2>/dev/null | sed "s/^/  | /" || true
      echo "  the end of its console:"
      { tail -n 20 "$dir/console" | tr -d '\033'; echo; } | sed 's/^/  | /'
      cat "$dir/qemu"
    fi
  } >"$dir/report"
  cat "$dir/report"
  rm -f "$dir/disk"
}

# What the disk of a machine that is off says, read by debugfs and not by the machine itself.
outside() { # NAME MODE FOLDER
  (
    set -eu
    e2fsck -fp "$3/disk" >/dev/null || [ $? -le 1 ]
    disk=$3/mounted
    mkdir "$disk"
    mount -o loop,ro "$3/disk" "$disk"
    trap 'umount "$disk"' EXIT
    . "$here/tests/machine/outside.sh"
    . "$here/tests/machine/scenarios/$1"
    ! declare -F "outside_$2" >/dev/null || "outside_$2"
  )
}
